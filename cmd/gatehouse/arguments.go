package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxArguments bounds the arguments of a tool, in bytes.
const maxArguments = 1 << 20

const argumentsHint = `write a JSON object like '{"city": "Rome"}', "-" to read one from standard input, or pairs like city=Rome`

// arguments are what a tool is called with: a JSON object, or pairs that become
// one once the tool's schema is known.
type arguments struct {
	object json.RawMessage // nil where there are pairs
	pairs  []pair
}

type pair struct{ name, value string }

// readArguments reads the arguments of a tool as they were typed. None at all is
// an empty object. stdin is read for "-".
func readArguments(ctx context.Context, stdin io.Reader, words []string) (arguments, error) {
	switch {
	case len(words) == 0:
		return arguments{object: json.RawMessage("{}")}, nil
	case len(words) == 1 && words[0] == "-":
		data, err := readAll(ctx, stdin)
		if err != nil {
			return arguments{}, err
		}
		return objectArguments(data)
	case len(words) == 1 && !isPair(words[0]):
		return objectArguments([]byte(words[0]))
	}
	var pairs []pair
	for _, word := range words {
		if !isPair(word) {
			return arguments{}, misuse(argumentsHint, "argument %q is not a key=value pair", word)
		}
		name, value, _ := strings.Cut(word, "=")
		if slices.ContainsFunc(pairs, func(p pair) bool { return p.name == name }) {
			return arguments{}, misuse("give each argument once", "argument %q is given twice", name)
		}
		pairs = append(pairs, pair{name, value})
	}
	return arguments{pairs: pairs}, nil
}

// isPair reports whether a word is a key=value pair, rather than JSON with an
// equals sign inside.
func isPair(word string) bool {
	name, _, found := strings.Cut(word, "=")
	return found && name != "" && !strings.ContainsAny(name, "{}[]\" \t\n")
}

func objectArguments(data []byte) (arguments, error) {
	if len(data) > maxArguments {
		return arguments{}, misuse("send less", "arguments are longer than %d bytes", maxArguments)
	}
	data = bytes.TrimSpace(data)
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return arguments{}, misuse(argumentsHint, "arguments are not a JSON object: %s", jsonProblem(err))
	}
	if object == nil {
		return arguments{}, misuse(argumentsHint, "arguments are not a JSON object: got null")
	}
	return arguments{object: data}, nil
}

// jsonProblem says what is wrong with JSON, without Go's own words for types.
func jsonProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return "got a JSON " + wrong.Value
	}
	return err.Error()
}

// readAll reads standard input until its end or the end of ctx.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(r, maxArguments+1))
		read <- result{data, err}
	}()
	select {
	case got := <-read:
		if got.err != nil {
			return nil, fmt.Errorf("reading arguments from standard input: %w", got.err)
		}
		return got.data, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// under returns the arguments as the JSON object for a tool with the given input
// schema, which may be nil. A pair whose value may be a string by the schema is
// one; any other is JSON where it reads as such: count=3 is a number unless the
// tool wants text.
func (a arguments) under(schema map[string]any) json.RawMessage {
	if a.object != nil {
		return a.object
	}
	object := map[string]any{}
	for _, p := range a.pairs {
		object[p.name] = p.value
		if !wantsText(schema, p.name) && json.Valid([]byte(p.value)) {
			object[p.name] = json.RawMessage(p.value)
		}
	}
	// Strings and valid JSON always marshal.
	data, _ := json.Marshal(object)
	return data
}

// wantsText reports whether a schema lets the property be a string.
func wantsText(schema map[string]any, name string) bool {
	properties, _ := schema["properties"].(map[string]any)
	property, _ := properties[name].(map[string]any)
	switch kind := property["type"].(type) {
	case string:
		return kind == "string"
	case []any:
		return slices.Contains(kind, any("string"))
	}
	return false
}
