//go:build providers && sources && unix

package providers

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// postgresUser is the account that Debian's package makes. PostgreSQL refuses to run as root.
const postgresUser = "postgres"

// postgres is a running PostgreSQL. Its superuser needs no password.
type postgres struct {
	port string
	bin  string // folder of its programs
}

// startPostgres starts an empty PostgreSQL on a free port of 127.0.0.1. It stops when the test
// ends, and its data is removed.
func startPostgres(t *testing.T) postgres {
	t.Helper()
	p := postgres{port: freePort(t), bin: postgresPrograms(t)}
	// The folder of t.TempDir is closed to other accounts.
	folder, err := os.MkdirTemp("", "gatehouse-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	as := asPostgres(t, folder)
	data := filepath.Join(folder, "data")
	run(t, folder, append(as, filepath.Join(p.bin, "initdb"), "-D", data, "-U", postgresUser, "-A", "trust", "--no-sync")...)
	control := append(as, filepath.Join(p.bin, "pg_ctl"), "-D", data, "-w")
	options := "-c listen_addresses=127.0.0.1 -c fsync=off -c unix_socket_directories=" + folder + " -p " + p.port
	run(t, folder, append(slices.Clone(control), "-l", filepath.Join(folder, "log"), "-o", options, "start")...)
	t.Cleanup(func() { run(t, folder, append(slices.Clone(control), "-m", "immediate", "stop")...) })
	return p
}

// asPostgres returns the beginning of a command that runs as another account than root, and
// gives the folder to that account.
func asPostgres(t *testing.T, folder string) []string {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup(postgresUser)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, uid, -1); err != nil {
		t.Fatal(err)
	}
	return []string{"runuser", "-u", postgresUser, "--"}
}

// postgresPrograms returns the folder of PostgreSQL's programs, which Debian does not put on
// PATH, and installs them if they are missing.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	find := func() string {
		if programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); len(programs) > 0 {
			return filepath.Dir(programs[len(programs)-1])
		}
		if program, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(program)
		}
		return ""
	}
	if folder := find(); folder != "" {
		return folder
	}
	requireProgram(t, "pg_ctlcluster", "postgresql")
	folder := find()
	if folder == "" {
		t.Fatal("initdb of PostgreSQL is neither on PATH nor in /usr/lib/postgresql")
	}
	return folder
}

// exec runs SQL as the superuser.
func (p postgres) exec(t *testing.T, sql string) {
	t.Helper()
	run(t, "/", filepath.Join(p.bin, "psql"), "--host=127.0.0.1", "--port="+p.port, "--username="+postgresUser,
		"--quiet", "--set=ON_ERROR_STOP=1", "--command="+sql, "postgres")
}
