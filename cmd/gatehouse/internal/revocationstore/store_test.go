package revocationstore

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	redisURL    = "rediss://app:hunter2@redis.internal:6379/1"
	postgresURL = "postgres://app:hunter2@db.internal:5432/app?sslmode=verify-full"
	password    = "hunter2"
)

// Each row changes one thing of a valid configuration.
func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name       string
		config     Config
		wantName   string
		wantFaults []string
	}{
		{"Redis", Config{RedisURL: redisURL, Prefix: "notes"}, "Redis at redis.internal:6379/1", nil},
		{"Redis without TLS on this machine", Config{RedisURL: "redis://localhost:6379"}, "Redis at localhost:6379", nil},
		{"Sentinel", Config{RedisURL: redisURL + "?master_name=primary"}, "Redis at redis.internal:6379/1", nil},
		{"cluster", Config{RedisURL: "rediss://redis.internal:6379?addr=redis2.internal:6379"}, "Redis at redis.internal:6379", nil},
		{"PostgreSQL", Config{PostgresURL: postgresURL, Table: "auth.revocations"}, "PostgreSQL at db.internal:5432/app", nil},
		{"neither", Config{}, "", []string{"RedisURL is missing, and so is PostgresURL; set one of them"}},
		{"both", Config{RedisURL: redisURL, PostgresURL: postgresURL}, "", []string{"PostgresURL is set in addition to RedisURL; remove one of them"}},
		{"prefix of a table", Config{PostgresURL: postgresURL, Prefix: "x"}, "", []string{`Prefix "x" has no effect without RedisURL; remove it`}},
		{"table in Redis", Config{RedisURL: redisURL, Table: "x"}, "", []string{`Table "x" has no effect without PostgresURL; remove it`}},
		{"certificates for PostgreSQL", Config{PostgresURL: postgresURL, RedisCA: []byte("x")}, "", []string{"RedisCA has no effect without RedisURL"}},
		{"all that have no effect", Config{Prefix: "a", Table: "b"}, "", []string{"RedisURL is missing", `Prefix "a"`, `Table "b"`}},
		{"invalid prefix", Config{RedisURL: redisURL, Prefix: "{x}"}, "", []string{`Prefix "{x}" is not a prefix of keys`}},
		{"invalid table", Config{PostgresURL: postgresURL, Table: "X;"}, "", []string{`Table "X;" is not the name of a table`}},
		{"HTTP", Config{RedisURL: "https://app:hunter2@redis.internal"}, "", []string{"RedisURL is not a URL of the store: redis: invalid URL scheme: https; write it like"}},
		{"without a scheme", Config{RedisURL: "app:hunter2@redis.internal:6379"}, "", []string{"RedisURL is not a URL of the store: it cannot be read; write it like"}},
		{"a space", Config{RedisURL: "redis://app:hunter2@redis .internal"}, "", []string{"RedisURL is not a URL of the store: it cannot be read"}},
		{"database", Config{RedisURL: "redis://app:hunter2@redis.internal/x"}, "", []string{`invalid database number: "x"`}},
		{"unknown parameter", Config{RedisURL: redisURL + "?colour=red"}, "", []string{"unexpected option: colour"}},
		{"certificate is not verified", Config{RedisURL: redisURL + "?skip_verify=true"}, "", []string{"RedisURL has the parameter skip_verify, with which"}},
		{"replicas of a Sentinel", Config{RedisURL: redisURL + "?master_name=primary&replica_only=true"}, "", []string{"RedisURL has the parameter replica_only, with which replicas are read, which lag behind; remove it"}},
		{"latency of a Sentinel", Config{RedisURL: redisURL + "?master_name=primary&route_by_latency=true"}, "", []string{"RedisURL has the parameter route_by_latency"}},
		{"any server of a Sentinel", Config{RedisURL: redisURL + "?master_name=primary&route_randomly=1"}, "", []string{"RedisURL has the parameter route_randomly"}},
		{"replicas of a cluster", Config{RedisURL: "rediss://redis.internal?addr=redis2.internal:6379&read_only=true"}, "", []string{"RedisURL has the parameter read_only"}},
		{"no replicas of a cluster", Config{RedisURL: "rediss://redis.internal?addr=redis2.internal:6379&read_only=false"}, "Redis at redis.internal", nil},
		{"empty name of a Sentinel", Config{RedisURL: redisURL + "?master_name="}, "", []string{"RedisURL has an empty parameter master_name; set it to the name"}},
		{"database of a cluster", Config{RedisURL: redisURL + "?addr=redis2.internal:6379"}, "", []string{"RedisURL has a database, which a cluster does not have; remove it"}},
		{"certificates without TLS", Config{RedisURL: "redis://redis.internal", RedisCA: []byte("x")}, "", []string{"RedisCA has no effect without TLS; write the URL with rediss://"}},
		{"no certificate", Config{RedisURL: redisURL, RedisCA: []byte("x")}, "", []string{"RedisCA has no certificate; use a file that begins with"}},
		{"PostgreSQL port", Config{PostgresURL: "postgres://app:hunter2@db.internal:port/app"}, "", []string{"PostgresURL is not a URL of the store"}},
		{"PostgreSQL mode", Config{PostgresURL: postgresURL + "&default_query_exec_mode=fast"}, "", []string{"PostgresURL is not a URL of the store", "default_query_exec_mode"}},
		{"PostgreSQL password that is not quoted", Config{PostgresURL: "host=db.internal password='x hunter2"}, "", []string{"unterminated quoted string"}},
		{"PostgreSQL certificate file", Config{PostgresURL: postgresURL + "&sslrootcert=/does/not/exist"}, "", []string{"PostgresURL is not a URL of the store", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(tt.config)
			if err == nil {
				defer s.Close()
			}
			if (err == nil) != (tt.wantFaults == nil) {
				t.Fatalf("got error %v, want %q", err, tt.wantFaults)
			}
			if err == nil {
				if s.String() != tt.wantName || len(s.Warnings()) > 0 {
					t.Errorf("got %q with the warnings %q, want %q without any", s, s.Warnings(), tt.wantName)
				}
				return
			}
			if fault := (*gatehouse.ConfigError)(nil); !errors.As(err, &fault) || fault.Fix == "" {
				t.Errorf("%v is not a ConfigError with a fix", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error has the password: %v", err)
			}
			for _, want := range tt.wantFaults {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n got %v\nwant %s", err, want)
				}
			}
		})
	}
}

// A connection that others can change is named.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{RedisURL: "redis://app:hunter2@redis.internal"}, "the connection to Redis at redis.internal is not encrypted"},
		{Config{PostgresURL: "postgres://app:hunter2@db.internal/app"}, "the connection to PostgreSQL at db.internal:5432/app is not encrypted"},
		{Config{PostgresURL: "postgres://app:hunter2@db.internal/app?sslmode=require"}, "its certificate is not verified"},
		{Config{PostgresURL: "postgres://app:hunter2@localhost/app"}, ""},
		{Config{PostgresURL: "postgres://app:hunter2@localhost,db.internal/app"}, "is not encrypted"},
		{Config{PostgresURL: "postgres://app:hunter2@localhost,127.0.0.1/app"}, ""},
		{Config{RedisURL: "redis://localhost"}, ""},
		{Config{RedisURL: "redis://localhost?addr=redis2.internal:6379"}, "is not encrypted"},
	} {
		s, err := Open(tt.config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := strings.Join(s.Warnings(), "\n"); !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") || strings.Contains(got, password) {
			t.Errorf("%s: got the warnings %q, want %q", s, got, tt.want)
		}
	}
}

// The certificate of a server is verified by the name with which it is connected. Behind a Sentinel and in a cluster, that
// is not the host of the URL.
func TestServerNameOfTLS(t *testing.T) {
	for query, want := range map[string]string{"": "redis.internal", "?master_name=main": "", "?addr=redis2.internal:6379": ""} {
		u, err := url.Parse("rediss://redis.internal:6379" + query)
		if err != nil {
			t.Fatal(err)
		}
		client, _, err := newRedisClient(Config{RedisURL: gatehouse.Secret(u.String())}, u)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		var settings *tls.Config
		switch c := client.(type) {
		case *goredis.Client:
			settings = c.Options().TLSConfig
		case *goredis.ClusterClient:
			settings = c.Options().TLSConfig
		}
		if settings == nil || settings.ServerName != want || settings.InsecureSkipVerify {
			t.Errorf("%s: got %+v, want verification by the name %q; empty means that of the connection", u, settings, want)
		}
	}
}
