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
	// windowTime is how long the window may take to show a step.
	windowTime = time.Minute
	// maxWindowResponse bounds what is read of a response of its API.
	maxWindowResponse = 8 << 20
	// poll is the pause between two requests to the API, which does not report changes.
	poll = 20 * time.Millisecond
)

// windowState has the part of the state of the local Clerk in the window that the tests
// need.
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

// windowSteps are the steps that the window recorded after a given one.
type windowSteps struct {
	Steps []windowStep `json:"steps"`
}

type windowStep struct {
	ID      uint64 `json:"id"`
	Kind    string `json:"kind"`
	Outcome string `json:"outcome"`
	Why     string `json:"why"`
	Do      string `json:"do"`
}

// getWindow sends a GET to the API of the window.
func getWindow[T any](ctx context.Context, dev *devServer, path string) (T, error) {
	return requestWindow[T](ctx, dev, http.MethodGet, path, nil)
}

// postWindow sends a POST to the API of the window.
func postWindow[T any](ctx context.Context, dev *devServer, path string, input any) (T, error) {
	return requestWindow[T](ctx, dev, http.MethodPost, path, input)
}

func requestWindow[T any](ctx context.Context, dev *devServer, method, path string, input any) (answer T, err error) {
	body, err := json.Marshal(input)
	if err != nil {
		return answer, err
	}
	req, err := http.NewRequestWithContext(ctx, method, dev.clerk()+"/_window/api/"+path, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxWindowResponse))
	if err != nil {
		return answer, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("window answered %s: %s", resp.Status, text)
	}
	return answer, json.Unmarshal(text, &answer)
}

// lastStep returns the ID of the newest step in the window.
func lastStep(ctx context.Context, dev *devServer) (uint64, error) {
	recorded, err := getWindow[windowSteps](ctx, dev, "steps?after=0")
	if err != nil || len(recorded.Steps) == 0 {
		return 0, err
	}
	return recorded.Steps[len(recorded.Steps)-1].ID, nil
}

// failedStep waits until the window shows a failed step after the one with an ID, whose cause
// contains why.
func failedStep(ctx context.Context, dev *devServer, after uint64, why string) (windowStep, error) {
	for {
		recorded, err := getWindow[windowSteps](ctx, dev, fmt.Sprintf("steps?after=%d", after))
		if err != nil {
			return windowStep{}, err
		}
		for _, step := range recorded.Steps {
			if step.Outcome == "failed" && strings.Contains(step.Why, why) {
				return step, nil
			}
		}
		select {
		case <-ctx.Done():
			return windowStep{}, fmt.Errorf("window has the steps %+v, want one that failed because %q", recorded.Steps, why)
		case <-time.After(poll):
		}
	}
}
