package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

func TestConfig(t *testing.T) {
	client := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	defer client.Close()
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs, o.ContextTimeoutEnabled = []string{"127.0.0.1:1"}, true
		c := redis.NewClusterClient(&o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	withoutTimeout := redis.NewClient(&redis.Options{})
	defer withoutTimeout.Close()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for _, test := range []struct {
		name    string
		config  gatehouseredis.Config
		wantErr string
	}{
		{"control", gatehouseredis.Config{Client: client}, ""},
		{"control: prefix", gatehouseredis.Config{Client: client, Prefix: "prod:mcp/1"}, ""},
		{"control: cluster", gatehouseredis.Config{Client: cluster(redis.ClusterOptions{})}, ""},
		{"no client", gatehouseredis.Config{}, "gatehouse: Client is missing"},
		{"no timeout", gatehouseredis.Config{Client: withoutTimeout}, "set ContextTimeoutEnabled"},
		{"reads from replicas", gatehouseredis.Config{Client: cluster(redis.ClusterOptions{ReadOnly: true})}, "leave ReadOnly"},
		{"ring", gatehouseredis.Config{Client: ring}, "is a redis.Ring"},
		{"hash tag in the prefix", gatehouseredis.Config{Client: client, Prefix: "{a}"}, `Prefix "{a}" is not a prefix of keys`},
		{"space in the prefix", gatehouseredis.Config{Client: client, Prefix: "a b"}, "is not a prefix of keys"},
		{"long prefix", gatehouseredis.Config{Client: client, Prefix: strings.Repeat("x", 201)}, "is not a prefix of keys"},
	} {
		_, err := gatehouseredis.New(test.config)
		if test.wantErr == "" {
			if err != nil {
				t.Errorf("%s: New = %v", test.name, err)
			}
			continue
		}
		var fault *gatehouse.ConfigError
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), test.wantErr) {
			t.Errorf("%s: New = %v, want %s", test.name, err, test.wantErr)
		}
	}
}

// A store without a server returns errors, soon after the context ends.
func TestServerDoesNotRun(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := gatehouseredis.New(gatehouseredis.Config{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Snapshot(t.Context()); err == nil {
		t.Error("Snapshot returns no error")
	}
	if err := store.Append(t.Context(), []gatehouse.Denial{{Subject: "user_1"}}); err == nil {
		t.Error("Append returns no error")
	}
	receive := func([]gatehouse.Denial, string) { t.Error("a watch calls back without a server") }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := store.Watch(ctx, "0-0", receive); err == nil || errors.Is(err, gatehouse.ErrPositionLost) {
		t.Errorf("Watch = %v, want the error of the connection", err)
	}
	for _, position := range []string{"", "1", "x-y", "1/2"} {
		if err := store.Watch(ctx, position, receive); !errors.Is(err, gatehouse.ErrPositionLost) {
			t.Errorf("Watch from %q = %v, want ErrPositionLost", position, err)
		}
	}
}
