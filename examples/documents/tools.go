package main

import (
	"context"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
	"github.com/gatehouse-mcp/gatehouse/serve"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const callTimeout = 10 * time.Second

// documentServer declares the tools, resources and prompts.
type documentServer struct {
	*serve.Server
	store    *store
	isMember func(context.Context, gatehouse.Identity) error
	isAdmin  func(context.Context, gatehouse.Identity) error
}

func (d *documentServer) addReadingTools() {
	readOnly := &mcp.ToolAnnotations{ReadOnlyHint: true}
	addTool(d, &mcp.Tool{
		Name: "get_workspace", Description: "Say whose documents the other tools see", Annotations: readOnly,
	}, gatehouse.Require{SignedIn: true}, getWorkspace) // open to everyone who is signed in
	addTool(d, &mcp.Tool{
		Name: "list_documents", Description: "List the documents of the workspace, newest first, without their texts", Annotations: readOnly,
	}, d.reading(), listDocuments)
	addTool(d, &mcp.Tool{
		Name: "search_documents", Description: "List the documents that contain all the words", Annotations: readOnly,
	}, d.reading(), searchDocuments)
	addTool(d, &mcp.Tool{
		Name: "read_document", Description: "Read one document", Annotations: readOnly,
	}, d.reading(), readDocument)
}

func (d *documentServer) addWritingTools() {
	yes, no := true, false
	addTool(d, &mcp.Tool{
		Name: "create_document", Description: "Create a document, which only its author sees until it is shared",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &no},
	}, d.writing(), createDocument)
	addTool(d, &mcp.Tool{
		Name: "update_document", Description: "Replace the title or the text of a document",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes},
	}, d.writing(), updateDocument)
	addTool(d, &mcp.Tool{
		Name: "delete_document", Description: "Delete a document of one's own; admins of an organization can delete every shared one",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &yes},
	}, d.writing(), deleteDocument)

	sharing := d.writing()
	sharing.Organization = true // there is no one to share with otherwise
	addTool(d, &mcp.Tool{
		Name: "share_document", Description: "Let all members of the organization see and change a document of one's own, or stop that",
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &no},
	}, sharing, shareDocument)
}

// call is one call of a tool. The embedded documents are those of the caller.
type call struct {
	documents
	req mcp.Request
}

// newCall returns the call of a request. The caller is that of the request and not of its context, which
// can belong to an earlier request of the session.
func newCall(store *store, req mcp.Request) (call, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return call{}, errIdentity
	}
	return call{documents{store, workspaceOf(id)}, req}, nil
}

// addTool declares a tool and what its caller needs. f gets the caller's documents, and a context that ends after
// callTimeout or when the client cancels the call. Its error is shown to the model if it is for the model.
func addTool[In, Out any](d *documentServer, tool *mcp.Tool, r gatehouse.Require, f func(context.Context, call, In) (Out, error)) {
	handler := func(ctx context.Context, req *mcp.CallToolRequest, in In) (_ *mcp.CallToolResult, out Out, err error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		c, err := newCall(d.store, req)
		if err == nil {
			out, err = f(ctx, c, in)
		}
		return nil, out, forModel(ctx, tool.Name, err)
	}
	mcp.AddTool(d.MCP, d.ProtectTool(tool, r), handler)
}

// Inputs and outputs of the tools. The go-sdk checks arguments against the schema of their type.
type (
	noInput   struct{}
	listInput struct {
		After string `json:"after,omitempty" jsonschema:"next of the page before"`
	}
	searchInput struct {
		Words string `json:"words" jsonschema:"one to eight words, separated by spaces"`
		After string `json:"after,omitempty" jsonschema:"next of the page before"`
	}
	readInput struct {
		ID string `json:"id"`
	}
	createInput struct {
		Title string `json:"title"`
		Text  string `json:"text" jsonschema:"Markdown"`
	}
	updateInput struct {
		ID      string  `json:"id"`
		Version int     `json:"version" jsonschema:"the version that was read"`
		Title   *string `json:"title,omitempty" jsonschema:"left out: the title stays"`
		Text    *string `json:"text,omitempty" jsonschema:"left out: the text stays"`
	}
	shareInput struct {
		ID      string `json:"id"`
		Version int    `json:"version" jsonschema:"the version that was read"`
		Shared  bool   `json:"shared"`
	}
	deleteInput struct {
		ID      string `json:"id"`
		Version int    `json:"version" jsonschema:"the version that was read"`
	}

	workspaceOutput struct {
		Organization string `json:"organization,omitempty" jsonschema:"its name; left out in the workspace of one user"`
		Role         string `json:"role,omitempty" jsonschema:"of the user in the organization"`
		User         string `json:"user"`
		Documents    int    `json:"documents"`
		Suspended    bool   `json:"suspended" jsonschema:"whether documents can be read only"`
	}
	listOutput struct {
		Documents []Document `json:"documents"`
		Next      string     `json:"next,omitempty" jsonschema:"there are more: pass it as after"`
	}
	deleteOutput struct {
		Deleted string `json:"deleted"`
	}
)

func getWorkspace(ctx context.Context, c call, _ noInput) (workspaceOutput, error) {
	out := workspaceOutput{User: c.user}
	if c.organization != "" {
		org, err := c.membership(ctx)
		if err != nil {
			return workspaceOutput{}, err
		}
		out.Organization, out.Role = org.Name, org.Role
	}
	var err error
	if out.Documents, err = c.count(ctx); err != nil {
		return workspaceOutput{}, err
	}
	out.Suspended, err = c.store.suspended(ctx, c.tenant)
	return out, err
}

func listDocuments(ctx context.Context, c call, in listInput) (listOutput, error) {
	return newPage(c.list(ctx, nil, in.After))
}

func searchDocuments(ctx context.Context, c call, in searchInput) (listOutput, error) {
	words, err := searchWords(in.Words)
	if err != nil {
		return listOutput{}, err
	}
	return newPage(c.list(ctx, words, in.After))
}

func newPage(page []Document, more bool, err error) (listOutput, error) {
	if err != nil {
		return listOutput{}, err
	}
	out := listOutput{Documents: page}
	if more {
		out.Next = page[len(page)-1].ID
	}
	return out, nil
}

func readDocument(ctx context.Context, c call, in readInput) (Document, error) {
	return c.get(ctx, c.store.db, in.ID)
}

func createDocument(ctx context.Context, c call, in createInput) (Document, error) {
	return c.create(ctx, in.Title, in.Text)
}

func updateDocument(ctx context.Context, c call, in updateInput) (Document, error) {
	return c.change(ctx, in.ID, in.Version, func(document *Document) error {
		if in.Title != nil {
			document.Title = *in.Title
		}
		if in.Text != nil {
			document.Text = *in.Text
		}
		return checkContent(document.Title, document.Text)
	})
}

func shareDocument(ctx context.Context, c call, in shareInput) (Document, error) {
	return c.change(ctx, in.ID, in.Version, func(document *Document) error {
		if document.Author != c.user {
			return errForModel("only the author of a document can share it; ask %s", document.Author)
		}
		document.Shared = in.Shared
		return nil
	})
}

// deleteDocument deletes the document of the caller, or any that an admin sees. Clerk is asked for the role before the
// transaction begins, so that no one waits for Clerk; the author of a document never changes.
func deleteDocument(ctx context.Context, c call, in deleteInput) (deleteOutput, error) {
	document, err := c.get(ctx, c.store.db, in.ID)
	if err != nil {
		return deleteOutput{}, err
	}
	if document.Author != c.user {
		org, err := c.membership(ctx)
		if err != nil {
			return deleteOutput{}, err
		}
		if org.Role != roleAdmin {
			return deleteOutput{}, errForModel("only the author of a document and admins of the organization can delete it")
		}
	}
	return deleteOutput{in.ID}, c.delete(ctx, in.ID, in.Version)
}

// membership returns the organization of the caller with the caller's role. Clerk's access tokens have no
// role. The errors of package clerk are written for users, and the log has the details.
func (c call) membership(ctx context.Context) (clerk.Org, error) {
	org, err := clerk.Membership(ctx, c.req)
	if err != nil {
		return clerk.Org{}, logged("asking Clerk for the membership", err)
	}
	return org, nil
}
