package mcpgo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// errUnknownTask has the text of mcp-go for a task that does not exist.
var errUnknownTask = errors.New("task not found")

// taskOwners are the principals who started the tasks of a server. mcp-go separates tasks by
// session ID, and shows all of them to a request without one.
type taskOwners struct {
	mu    sync.Mutex
	owner map[string]taskOwner // by task ID
}

// taskOwner is who started a task.
type taskOwner struct {
	principal string    // empty for a caller without identity, as with stdio
	until     time.Time // when mcp-go forgets the task; zero if it never does
}

// follow adds the hooks that note who starts a task, and that filter the list of tasks.
func (t *taskOwners) follow(hooks *server.Hooks) {
	hooks.AddAfterCallTool(func(ctx context.Context, _ any, _ *mcp.CallToolRequest, result any) {
		if created, ok := result.(*mcp.CreateTaskResult); ok && created != nil {
			t.add(ctx, created.Task)
		}
	})
	hooks.AddAfterListTasks(func(ctx context.Context, _ any, _ *mcp.ListTasksRequest, list *mcp.ListTasksResult) {
		list.Tasks = slices.DeleteFunc(slices.Clone(list.Tasks), func(task mcp.Task) bool { return !t.owns(ctx, task.TaskId) })
	})
}

// principalOf returns the principal of the caller, or "" if there is none.
func principalOf(ctx context.Context) string {
	id, ok := IdentityOf(ctx)
	if !ok {
		return ""
	}
	return id.Principal()
}

// add notes who started the task, and forgets tasks that mcp-go has forgotten.
func (t *taskOwners) add(ctx context.Context, task mcp.Task) {
	owner := taskOwner{principal: principalOf(ctx)}
	now := time.Now()
	if task.TTL != nil {
		owner.until = now.Add(time.Duration(*task.TTL) * time.Millisecond)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owner == nil {
		t.owner = make(map[string]taskOwner)
	}
	maps.DeleteFunc(t.owner, func(_ string, o taskOwner) bool { return !o.until.IsZero() && o.until.Before(now) })
	t.owner[task.TaskId] = owner
}

// owns reports whether the caller started the task.
func (t *taskOwners) owns(ctx context.Context, id string) bool {
	t.mu.Lock()
	owner, found := t.owner[id]
	t.mu.Unlock()
	return found && owner.principal == principalOf(ctx)
}

// authorize returns an error if the message names a task of another principal.
func (t *taskOwners) authorize(ctx context.Context, method mcp.MCPMethod, message []byte) error {
	var id string
	var err error
	switch method {
	case mcp.MethodTasksGet:
		r, failed := decode[mcp.GetTaskRequest](message)
		id, err = r.Params.TaskId, failed
	case mcp.MethodTasksResult:
		r, failed := decode[mcp.TaskResultRequest](message)
		id, err = r.Params.TaskId, failed
	case mcp.MethodTasksCancel:
		r, failed := decode[mcp.CancelTaskRequest](message)
		id, err = r.Params.TaskId, failed
	default:
		return nil
	}
	switch {
	case err != nil:
		return errUnreadable
	case !t.owns(ctx, id):
		return errUnknownTask
	}
	return nil
}
