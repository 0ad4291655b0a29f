package bypass

import (
	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
)

var claim = testissuer.Claim

// who returns a function that returns a token with the changes.
func who(changes ...testissuer.Change) func(*world) string {
	return func(w *world) string { return w.token(changes...) }
}

// withToken returns an attempt to call a tool with a token, whose control has another token.
func withToken(name, tool, want string, token, control func(*world) string) attempt {
	return attempt{
		group: "Callers", name: name, want: want,
		send: call(tool, token), control: call(tool, control), controlRuns: "tool " + tool,
	}
}

// notAdmin returns an attempt to call the tool that needs the role admin.
func notAdmin(name, want string, changes ...testissuer.Change) attempt {
	return withToken(name, "admin", want, who(changes...), admin)
}

// otherScope returns an attempt with a scope that is not the required one.
func otherScope(name, want string, value any) attempt {
	return withToken(name, "delete", want, who(claim("scope", value)), strong)
}

func challengeInResult(cfg *gatehouse.Config) { cfg.ChallengeInResult = true }

var callerAttempts = []attempt{
	notAdmin("the claim with the roles is missing", lacksPermission),
	notAdmin("the role in another case", lacksPermission, claim("roles", []string{"Admin"})),
	notAdmin("the role with a space", lacksPermission, claim("roles", []string{" admin", "admin "})),
	notAdmin("two roles in one text", lacksPermission, claim("roles", "admin editor")),
	notAdmin("the roles as an object that denies the role (`{\"admin\": false}`)", lacksPermission, claim("roles", object{"admin": false})),
	notAdmin("the roles as a number", "401 unusable_claims", claim("roles", 1)),
	notAdmin("the roles as a list of lists", "401 unusable_claims", claim("roles", [][]string{{"admin"}})),
	notAdmin("the roles in a claim with another name (`Roles`)", lacksPermission, claim("Roles", []string{"admin"})),
	otherScope("the scope in another case", lacksScope, "Docs:Write"),
	otherScope("the scope after a tab in place of a space", lacksScope, "profile\t"+scope),
	otherScope("a longer scope that begins with it", lacksScope, scope+":all"),
	otherScope("a wildcard", lacksScope, "docs:* *"),
	otherScope("two scopes in one item of a list", lacksScope, []string{"profile " + scope}),
	otherScope("the scopes as an object", "401 malformed", object{scope: true}),
	withToken("`ImpliedScopes` with a loop, and a scope that does not lead there", "implied", lacksScope,
		who(claim("scope", "loop:d")), who(claim("scope", "loop:a"))),
	withToken("the token of a machine for a tool for people", "person", lacksPermission,
		who(claim("sub", "client_1")), weak),
	withToken("no organization", "organization", "403 no_organization", weak, who(claim("org_id", "org_1"))),
	withToken("an organization with an empty ID", "organization", "403 no_organization", who(claim("org_id", "")), who(claim("org_id", "org_1"))),
	withToken("half of an alternative of `AnyOf`: the role without the scope", "either", lacksScope,
		who(claim("roles", []string{"editor"})), who(claim("roles", []string{"editor"}), claim("scope", "docs:edit"))),
	withToken("half of an alternative of `AnyOf`: the scope without the role", "either", lacksPermission,
		who(claim("scope", "docs:edit")), admin),
	withToken("a `Check` that rejects", "rejects", lacksPermission, weak, strong),
	withToken("a `Check` whose time runs out", "waits", lacksPermission, weak, strong),
	{
		group: "Callers", name: "a `Check` that panics", want: lacksPermission,
		send: call("panics", strong), control: call("rejects", strong), controlRuns: "tool rejects",
	},
	{
		group: "Callers", name: "`ChallengeInResult`: the call is answered with 200", want: "200, challenge in _meta",
		options: &options{configure: challengeInResult},
		send:    call("delete", weak), control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Callers", name: "`ChallengeInResult`: an ID that is an object", want: lacksScope,
		options: &options{configure: challengeInResult},
		send:    call("delete", weak, replacing(`"id":1`, `"id":{"result":{}}`)),
		control: call("delete", strong), controlRuns: "tool delete",
	},
	{
		group: "Callers", name: "`ChallengeInResult`: a caller who lacks a role", want: lacksPermission,
		options: &options{configure: challengeInResult},
		send:    call("admin", weak), control: call("admin", admin), controlRuns: "tool admin",
	},
}
