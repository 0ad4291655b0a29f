package recipes_test

import (
	"context"
	"log"

	"github.com/gatehouse-mcp/gatehouse/examples/recipes"
	"github.com/gatehouse-mcp/gatehouse/serve"
)

func Example() {
	server, err := serve.New(serve.Config{
		Name:     "my-server",
		Version:  "1.0.0",
		Provider: recipes.HydraJWT("https://hydra.example.com", "notes:read"),
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.ListenAndServe(context.Background()))
}
