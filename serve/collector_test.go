package serve

import (
	"context"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// unsetCollector makes the test run as if nobody had said anything about the
// collector.
func unsetCollector(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Setenv(name, "") // so that it is restored
		os.Unsetenv(name)
	}
	percent := debug.SetGCPercent(defaultGCPercent)
	limit := debug.SetMemoryLimit(defaultMemoryLimit)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	if containerMemory(os.ReadFile) < smallContainer {
		t.Skip("this container has too little memory for a heap floor")
	}
}

func TestKeepCollector(t *testing.T) {
	tests := []struct {
		name    string
		set     func(*testing.T)
		wantWhy string
	}{
		{"nothing said", func(*testing.T) {}, ""},
		{"GOGC", func(t *testing.T) { t.Setenv("GOGC", "100") }, "GOGC is set"},
		{"GOMEMLIMIT", func(t *testing.T) { t.Setenv("GOMEMLIMIT", "1GiB") }, "GOMEMLIMIT is set"},
		{"SetGCPercent", func(*testing.T) { debug.SetGCPercent(50) }, "debug.SetGCPercent was called"},
		{"collector off", func(*testing.T) { debug.SetGCPercent(-1) }, "debug.SetGCPercent was called"},
		{"SetMemoryLimit", func(*testing.T) { debug.SetMemoryLimit(1 << 40) }, "debug.SetMemoryLimit was called"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			unsetCollector(t)
			test.set(t)
			if why := keepCollector(); why != test.wantWhy {
				t.Errorf("reason %q, want %q", why, test.wantWhy)
			}
		})
	}
}

func TestHeapFloor(t *testing.T) {
	unsetCollector(t)
	for range 2 { // a second server takes no second floor
		raiseHeapFloor(slog.New(slog.DiscardHandler))
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.NextGC < 2*heapFloor || m.NextGC > 3*heapFloor {
		t.Errorf("next collection at %d bytes of heap, want %d and a little", m.NextGC, 2*heapFloor)
	}
}

func TestServeSaysThatItRaisesTheHeapFloor(t *testing.T) {
	tests := []struct {
		name        string
		noHeapFloor bool
		percent     int
		want        bool
	}{
		{name: "as it ships", percent: defaultGCPercent, want: true},
		{name: "NoHeapFloor", percent: defaultGCPercent, noHeapFloor: true},
		{name: "the program has set GOGC", percent: 50},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			unsetCollector(t)
			debug.SetGCPercent(test.percent)
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			server, err := newServer(Config{
				Name: "n", Version: "1", Provider: gatehouse.OIDC("http://127.0.0.1:9"),
				NoHeapFloor: test.noHeapFloor, Logger: slog.New(slog.NewTextHandler(log, nil)),
			}, &env.Env{})
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := server.Serve(ctx, l); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(log.Name())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "NoHeapFloor"); got != test.want {
				t.Errorf("the log tells of a heap floor: %v, want %v\n%s", got, test.want, text)
			}
		})
	}
}

func TestContainerMemory(t *testing.T) {
	const v2, v1 = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
	tests := []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"no container", nil, math.MaxUint64},
		{"v2", map[string]string{v2: "134217728\n"}, 128 << 20},
		{"v2 without a limit", map[string]string{v2: "max\n"}, math.MaxUint64},
		{"v1", map[string]string{v1: "134217728\n"}, 128 << 20},
		{"v1 without a limit", map[string]string{v1: "9223372036854771712\n"}, 9223372036854771712},
		{"both", map[string]string{v2: "max\n", v1: "134217728\n"}, 128 << 20},
		{"nonsense", map[string]string{v2: "-1", v1: "many"}, math.MaxUint64},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			readFile := func(name string) ([]byte, error) {
				if text, ok := test.files[name]; ok {
					return []byte(text), nil
				}
				return nil, fs.ErrNotExist
			}
			if got := containerMemory(readFile); got != test.want {
				t.Errorf("containerMemory = %d, want %d", got, test.want)
			}
		})
	}
}
