package redis_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

func TestLimiterConfig(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	defer client.Close()
	withoutTimeout := redis.NewClient(&redis.Options{})
	defer withoutTimeout.Close()
	key := gatehouseredis.LimiterKey(strings.Repeat("k", 32))
	for _, test := range []struct {
		name    string
		config  gatehouseredis.LimiterConfig
		wantErr string
	}{
		{"control", gatehouseredis.LimiterConfig{Client: client, Key: key, Prefix: "prod"}, ""},
		{"no client", gatehouseredis.LimiterConfig{Key: key}, "Client is missing"},
		{"no timeout", gatehouseredis.LimiterConfig{Client: withoutTimeout, Key: key}, "set ContextTimeoutEnabled"},
		{"no key", gatehouseredis.LimiterConfig{Client: client}, "Key has 0 bytes, want at least 32; set it to random bytes"},
		{"short key", gatehouseredis.LimiterConfig{Client: client, Key: key[1:]}, "Key has 31 bytes, want at least 32"},
		{"prefix", gatehouseredis.LimiterConfig{Client: client, Key: key, Prefix: "a b"}, `Prefix "a b" is not a prefix of keys`},
		{"everything", gatehouseredis.LimiterConfig{Prefix: "{"}, "Client is missing"},
	} {
		_, err := gatehouseredis.NewLimiter(test.config)
		if test.wantErr == "" {
			if err != nil {
				t.Errorf("%s: NewLimiter = %v", test.name, err)
			}
			continue
		}
		var fault *gatehouse.ConfigError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: NewLimiter = %v, want %s", test.name, err, test.wantErr)
		}
	}
}

// A limiter without a server returns an error.
func TestLimiterWithoutServer(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer client.Close()
	limiter, err := gatehouseredis.NewLimiter(gatehouseredis.LimiterConfig{Client: client, Key: make(gatehouseredis.LimiterKey, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := limiter.Take(t.Context(), "a", 1, gatehouse.Rate{Every: 1000, Burst: 1}); err == nil {
		t.Error("Take returns no error")
	}
}

// The key is never printed.
func TestLimiterKeyIsNotPrinted(t *testing.T) {
	key := gatehouseredis.LimiterKey(strings.Repeat("hunter2 ", 5))
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	defer client.Close()
	limiter, err := gatehouseredis.NewLimiter(gatehouseredis.LimiterConfig{Client: client, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %x", key, key, key, key, key), fmt.Sprintf("%+v %#v", limiter, limiter), log.String()} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e746572") {
			t.Errorf("%q shows the key", text)
		}
	}
}
