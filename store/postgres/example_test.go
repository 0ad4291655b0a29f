package postgres_test

import (
	"context"
	"log"
	"os"

	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/gatehouse-mcp/gatehouse/store/postgres"
	"github.com/jackc/pgx/v5/pgxpool"
)

func Example() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	store, err := postgres.New(postgres.Config{Pool: pool})
	if err != nil {
		log.Fatal(err)
	}
	server, err := serve.New(serve.Config{Name: "notes", Version: "1.0.0", Provider: clerk.FromEnv(), Revocations: store})
	if err != nil {
		log.Fatal(err)
	}
	_ = server
}
