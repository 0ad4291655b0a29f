package bypass

// noTokenRead returns an attempt to read a resource without a token. Its control reads another URI,
// with the scope or without a token.
func noTokenRead(name, want, uri string, control sender, runs string) attempt {
	a := noToken(name, want, read(uri, none))
	a.control, a.controlRuns = control, runs
	return a
}

var (
	readSecret  = read("public://secret", strong)
	readPrivate = read("private://public/notes", none)
)

const (
	secretRuns  = "resource public://secret"
	privateRuns = "resource private://public/{+path}"
)

var anonymousResourceAttempts = []attempt{
	noTokenRead("a protected resource", signIn, "docs://secret", read("docs://secret", strong), "resource docs://secret"),
	inStyles(noTokenRead("a protected resource that a public template matches", signIn, "public://secret", readSecret, secretRuns), protect, byName, denying),
	inStyles(noTokenRead("its URI percent-encoded (`public://s%65cret`)", otherSpelling, "public://s%65cret", readSecret, secretRuns), protect, byName, denying),
	inStyles(noTokenRead("its URI with dot segments (`public://x/../secret`)", otherSpelling, "public://x/../secret", readSecret, secretRuns), protect, byName, denying),
	inStyles(noTokenRead("its URI with a query", otherSpelling, "public://secret?x=1", readSecret, secretRuns), protect, byName, denying),
	noTokenRead("dot segments that lead out of a public template, to a resource without a declaration", signIn,
		"private://public/../notes", readPrivate, privateRuns),
	noTokenRead("the same with an encoded slash (`private://public/..%2fnotes`)", signIn, "private://public/..%2fnotes", readPrivate, privateRuns),
	noTokenRead("the same, encoded twice", signIn, "private://public/%252e%252e/notes", readPrivate, privateRuns),
	noTokenRead("the same with backslashes", otherSpelling, `private://public/..\notes`, readPrivate, privateRuns),
	inStyles(noTokenRead("the resource without a declaration", signIn, "private://notes", read("private://notes", strong), "resource private://notes"),
		protect, byName, byDefault),
	noToken("`resources/subscribe`", signIn, rpc("resources/subscribe", object{"uri": "docs://secret"}, none)).only(stateful),
	noToken("`subscriptions/listen` with a public resource and a protected one", signIn, rpc("subscriptions/listen",
		object{"notifications": object{"resourceSubscriptions": []string{"docs2://public", "docs://secret"}}}, none)).only(stateless),
	noToken("`prompts/get`", signIn, rpc("prompts/get", object{"name": "draft"}, none)),
	noToken("completion of an argument of a protected prompt", signIn, complete(object{"type": "ref/prompt", "name": "draft"}, none)),
	noToken("completion of an argument of a protected template", signIn, complete(object{"type": "ref/resource", "uri": "docs://team/{name}"}, none)),
	noToken("completion with an unknown kind of reference", signIn, complete(object{"type": "REF/PROMPT", "name": "draft"}, none)),
}
