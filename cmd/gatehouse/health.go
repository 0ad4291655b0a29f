package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	defaultHealthURL     = "http://localhost:3000/readyz"
	defaultHealthTimeout = 3 * time.Second
	// maxHealthBody bounds what is read of the answer, and maxHealthText what is shown of it.
	maxHealthBody = 64 << 10
	maxHealthText = 1000
)

func newHealthCommand(con *console) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Ask a running gateway whether it is ready",
		Long: `Request a URL and exit with status 0 if the answer is 200, and with 1 otherwise. It is for
the health checks of containers, whose image has no other program. Without a URL it requests
` + defaultHealthURL + `. Redirects are not followed.`,
		Example: `  gatehouse health
  gatehouse health http://localhost:4000/.well-known/openid-configuration`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return newUsageError(`"gatehouse help health" explains the command`, "got %d arguments, want at most one URL", len(args))
			}
			if timeout <= 0 {
				return newUsageError(`write it like --timeout 3s`, "--timeout %v is not positive", timeout)
			}
			con.Begin("asking for the health")
			return checkHealth(cmd.Context(), con, strings.Join(args, ""), timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", defaultHealthTimeout, "give up after `DURATION`")
	return cmd
}

// checkHealth requests the URL, or defaultHealthURL if it is empty, and prints the answer if its
// status is 200. Otherwise it returns an error.
func checkHealth(ctx context.Context, con *console, target string, timeout time.Duration) error {
	target = cmp.Or(target, defaultHealthURL)
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return newUsageError("write it like "+defaultHealthURL, "%q is not an http or https URL", wellknown.Redacted(target))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return newUsageError("write it like "+defaultHealthURL, "%q is not a URL", wellknown.Redacted(target))
	}
	// No proxy of the environment: the answer must come from the server itself.
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.New("look at the log of the server, or set a longer --timeout",
			"%s did not answer within %v", u.Redacted(), timeout)
	} else if err != nil {
		return failure.New("check that the server runs and listens on this address", "requesting the health: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealthBody))
	text := quote.Clip(strings.TrimSpace(string(body)), maxHealthText)
	if err != nil {
		return failure.New("look at the log of the server", "reading the answer of %s: %w", u.Redacted(), err)
	}
	if resp.StatusCode != http.StatusOK {
		return failure.New("look at the log of the server", "%s answered %s: %q", u.Redacted(), resp.Status, text)
	}
	return con.print(text + "\n")
}
