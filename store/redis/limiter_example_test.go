package redis_test

import (
	"log"
	"os"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

func ExampleNewLimiter() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal("REDIS_URL is not a URL of Redis") // err may contain the password
	}
	options.ContextTimeoutEnabled = true
	limiter, err := gatehouseredis.NewLimiter(gatehouseredis.LimiterConfig{
		Client: redis.NewClient(options),
		Key:    gatehouseredis.LimiterKey(os.Getenv("LIMITER_KEY")), // openssl rand -base64 32
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := serve.New(serve.Config{
		Name: "notes", Version: "1.0.0", Provider: clerk.FromEnv(),
		RateLimits: gatehouse.RateLimits{RequestsPerMinute: 300, Shared: limiter},
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = server
}
