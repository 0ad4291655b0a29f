package gatewayfile

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/revocationstore"
)

// maxStores bounds the stores that a process opens when the file changes. The requests and streams
// of an old configuration keep its store in use.
const maxStores = 32

// Revocations says where the revocations are that gateways share.
type Revocations struct {
	At

	RedisURL    gatehouse.Secret `doc:"URL of Redis or Valkey, like rediss://user:password@redis:6379/0. With the parameter master_name, it is that of a Sentinel, and with addr, that of a node of a cluster. A password must come from the environment or from redis_url_file."`
	RedisCAFile string           `doc:"PEM file with the certificates by which that of Redis is verified. Those of the system if it is missing."`
	Prefix      string           `doc:"Prefix of the keys in Redis; gatehouse if it is missing. Gateways and servers with the same prefix share their revocations."`

	PostgresURL gatehouse.Secret `doc:"URL of PostgreSQL 13 or later, like postgres://user:password@db:5432/app?sslmode=verify-full, in place of redis_url. A password must come from the environment or from postgres_url_file."`
	Table       string           `doc:"Table in PostgreSQL; gatehouse_revocations if it is missing. \"gatehouse revoke --create-tables\" creates it."`
}

// revocations returns the store, or nil if the file has none or a mistake in it. Without the section, it is
// the one in memory if the operator port takes revocations.
func (b *builder) revocations(top *yaml.Node) *revocationstore.Store {
	r := b.file.Revocations
	if r == nil && b.file.Operator != nil && b.file.Operator.RevokeKey != "" {
		return b.memory()
	}
	if r == nil {
		return nil
	}
	before := len(b.errors)
	for _, name := range []string{"redis_url", "postgres_url"} {
		b.checkPassword(memberNode(memberNode(top, "revocations"), name), name)
	}
	cfg := revocationstore.Config{
		RedisURL: r.RedisURL, Prefix: r.Prefix, PostgresURL: r.PostgresURL, Table: r.Table,
		Watchers: watchers(len(b.file.Endpoints)),
	}
	if r.RedisCAFile != "" {
		text, err := b.readFile(r.RedisCAFile, maxSecretFile)
		if err != nil {
			b.report(r.lineOf("redis_ca_file"), fmt.Sprintf("redis_ca_file %q cannot be read: %v", r.RedisCAFile, err), "check the path and the permissions")
		}
		cfg.RedisCA = text
	}
	if r.lines == nil || len(b.errors) > before || b.hasMistake(r) {
		return nil
	}
	store, err := b.openStore(cfg)
	for _, fault := range configErrors(err) {
		if err == nil {
			break
		}
		if fault == nil {
			b.report(r.line, err.Error(), "change the section revocations")
			continue
		}
		b.revocationFault(r, fault)
	}
	return store
}

// watchers returns how many guards may watch the store at once: while a changed file is applied,
// both configurations do. It is rounded up, so that another endpoint seldom needs another store.
func watchers(endpoints int) int {
	const step = 32
	return (2*endpoints + step) / step * step
}

// hasMistake reports whether a URL of the section was written but could not be read, which is
// reported.
func (b *builder) hasMistake(r *Revocations) bool {
	written := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return r.lines[name] > 0 })
	}
	return r.RedisURL == "" && written("redis_url", "redis_url_file") || r.PostgresURL == "" && written("postgres_url", "postgres_url_file")
}

// memory returns the store in memory. It is the same for all configurations of a process, so that a changed
// file forgets no revocation.
func (l *Loader) memory() *revocationstore.Store {
	if l.inMemory == nil {
		l.inMemory = revocationstore.OpenMemory()
	}
	return l.inMemory
}

// openStore returns the store of cfg, which it opens once.
func (l *Loader) openStore(cfg revocationstore.Config) (*revocationstore.Store, error) {
	watchers := cfg.Watchers
	cfg.Watchers = 0
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", string(cfg.RedisURL), cfg.RedisCA, cfg.Prefix, string(cfg.PostgresURL), cfg.Table))
	if known, ok := l.stores[key]; ok && known.watchers >= watchers {
		return known.Store, nil
	}
	if len(l.opened) == maxStores {
		return nil, fmt.Errorf("the store was changed %d times since the gateway was started; restart it", maxStores)
	}
	cfg.Watchers = watchers
	store, err := revocationstore.Open(cfg)
	if err != nil {
		return nil, err
	}
	l.stores[key] = openedStore{store, watchers}
	l.opened = append(l.opened, store)
	return store, nil
}

// openedStore is a store with how many guards it has connections for.
type openedStore struct {
	*revocationstore.Store
	watchers int
}

// storeFields are the members of the fields of [revocationstore.Config].
var storeFields = map[string]string{
	"RedisURL": "redis_url", "RedisCA": "redis_ca_file", "Prefix": "prefix", "PostgresURL": "postgres_url", "Table": "table",
}

// revocationFault reports a fault of the store.
func (b *builder) revocationFault(r *Revocations, fault *gatehouse.ConfigError) {
	name := storeFields[fault.Field]
	if name == "" {
		name = "revocations"
	}
	line := r.lineOf(name)
	if file := name + "_file"; r.lines[file] > 0 {
		name, line = file, r.lines[file]
	}
	names := strings.NewReplacer("RedisURL", "redis_url", "RedisCA", "redis_ca_file", "PostgresURL", "postgres_url", "Prefix", "prefix", "Table", "table")
	b.fault(line, name, fault.Value, names.Replace(fault.Problem), names.Replace(fault.Fix))
}

// fault reports a fault of a member.
func (b *builder) fault(line int, name, value, problem, fix string) {
	b.report(line, describeFault(name, &gatehouse.ConfigError{Value: value, Problem: problem}), fix)
}

// checkPassword reports a URL with a password that is written in the file: the file is kept and
// shown in places where secrets must not be.
func (b *builder) checkPassword(n *yaml.Node, name string) {
	if n == nil || n.Kind != yaml.ScalarNode {
		return
	}
	if hasPassword(n.Value) {
		b.report(n.Line, name+" has a password in the file",
			fmt.Sprintf("write %s: \"${NAME}\" with a variable of the environment, or %s_file: FILE", name, name))
	}
}

// passwordParameter is a parameter of a URL, or a keyword of a connection string of PostgreSQL, with a password
// that is not a variable.
var passwordParameter = regexp.MustCompile(`(?i)(^|[?&\s])(ssl)?password\s*=\s*'?[^\s'$&]`)

func hasPassword(text string) bool {
	if passwordParameter.MatchString(text) {
		return true
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return false
	}
	password, ok := u.User.Password()
	return ok && password != "" && !strings.Contains(password, "${")
}

// memberNode returns the value of a member of a mapping, or nil.
func memberNode(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for pair := range slices.Chunk(n.Content, 2) {
		if pair[0].Value == name {
			return pair[1]
		}
	}
	return nil
}
