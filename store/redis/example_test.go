package redis_test

import (
	"log"
	"os"

	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	gatehouseredis "github.com/gatehouse-mcp/gatehouse/store/redis"
	"github.com/redis/go-redis/v9"
)

func Example() {
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal("REDIS_URL is not a URL of Redis") // err may contain the password
	}
	options.ContextTimeoutEnabled = true
	store, err := gatehouseredis.New(gatehouseredis.Config{Client: redis.NewClient(options)})
	if err != nil {
		log.Fatal(err)
	}
	server, err := serve.New(serve.Config{Name: "notes", Version: "1.0.0", Provider: clerk.FromEnv(), Revocations: store})
	if err != nil {
		log.Fatal(err)
	}
	_ = server
}
