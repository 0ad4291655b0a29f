package mcpgo_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/server"
)

// A task belongs to the principal who started it, in sessions and without them.
func TestTasksBelongToTheirPrincipal(t *testing.T) {
	f := newFixture(t, server.WithStateLess(true))
	ada, grace := f.token(t, "ada", []string{"admin"}, nil), f.token(t, "grace", []string{"admin"}, nil)
	created := f.post(t, ada, "", protectedMessages["task"])
	var reply struct {
		Result struct {
			Task struct {
				ID string `json:"taskId"`
			} `json:"task"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(created.body), &reply); err != nil || reply.Result.Task.ID == "" {
		t.Fatalf("got %s, want a task: %v", created.body, err)
	}
	id := reply.Result.Task.ID
	for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
		if got := f.post(t, grace, "", message(method, `{"taskId":"`+id+`"}`)); !strings.Contains(got.body, "task not found") {
			t.Errorf("%s: another user got %s", method, got.body)
		}
	}
	if got := f.post(t, grace, "", message("tasks/list", "{}")); strings.Contains(got.body, id) {
		t.Errorf("tasks/list: another user got %s", got.body)
	}
	if got := f.post(t, ada, "", message("tasks/list", "{}")); !strings.Contains(got.body, id) {
		t.Errorf("tasks/list: the user got %s, want the task", got.body)
	}
	if got := f.post(t, ada, "", message("tasks/get", `{"taskId":"`+id+`"}`)); !strings.Contains(got.body, `"result"`) {
		t.Errorf("tasks/get: the user got %s, want the task", got.body)
	}
}
