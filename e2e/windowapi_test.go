//go:build e2e && unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// windowTime is how long the window may take to show what has happened.
	windowTime = 20 * time.Second
	// maxWindowAnswer bounds what is read of an answer of its API.
	maxWindowAnswer = 8 << 20
)

// windowState is what the window knows of the local Clerk, as far as it matters
// here.
type windowState struct {
	Settings []struct {
		Name  string `json:"name"`
		Note  string `json:"note"`
		Value any    `json:"value"`
	} `json:"settings"`
	Tokens []struct {
		Form string `json:"form"`
	} `json:"tokens"`
}

// windowNews is what the window saw happen after a step.
type windowNews struct {
	Steps []windowStep `json:"steps"`
}

type windowStep struct {
	ID      uint64 `json:"id"`
	Kind    string `json:"kind"`
	Outcome string `json:"outcome"`
	Why     string `json:"why"`
	Do      string `json:"do"`
}

// look reads something from the API of the house's window.
func look[T any](ctx context.Context, h *house, path string) (T, error) {
	return askWindow[T](ctx, h, http.MethodGet, path, nil)
}

// tell posts something to the API of the house's window.
func tell[T any](ctx context.Context, h *house, path string, input any) (T, error) {
	return askWindow[T](ctx, h, http.MethodPost, path, input)
}

func askWindow[T any](ctx context.Context, h *house, method, path string, input any) (answer T, err error) {
	body, err := json.Marshal(input)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, method, h.clerk()+"/_window/api/"+path, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxWindowAnswer))
	if err != nil {
		return answer, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("window answered %s: %s", resp.Status, text)
	}
	return answer, json.Unmarshal(text, &answer)
}

// lastStep is the ID of the newest step that the window has.
func lastStep(ctx context.Context, h *house) (uint64, error) {
	news, err := look[windowNews](ctx, h, "steps?after=0")
	if err != nil || len(news.Steps) == 0 {
		return 0, err
	}
	return news.Steps[len(news.Steps)-1].ID, nil
}

// failed waits until the window shows a step after the one with the ID given
// that failed, and of which it says why.
func failed(ctx context.Context, h *house, after uint64, why string) (windowStep, error) {
	for {
		news, err := look[windowNews](ctx, h, fmt.Sprintf("steps?after=%d", after))
		if err != nil {
			return windowStep{}, err
		}
		for _, step := range news.Steps {
			if step.Outcome == "failed" && strings.Contains(step.Why, why) {
				return step, nil
			}
		}
		select {
		case <-ctx.Done():
			return windowStep{}, fmt.Errorf("window has the steps %+v, want one that failed because %q", news.Steps, why)
		case <-time.After(poll):
		}
	}
}
