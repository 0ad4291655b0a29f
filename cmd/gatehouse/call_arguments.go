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

// arguments are the arguments of a tool: a JSON object, or pairs that are converted to
// one when the tool's schema is known.
type arguments struct {
	object json.RawMessage // nil if there are pairs
	pairs  []pair
}

type pair struct{ name, value string }

// readArguments parses the arguments of a tool as typed. No words mean an empty object,
// and "-" means the object on stdin.
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
	case len(words) == 1 && !isPair(words[0]) && seemsJSON(words[0]):
		return objectArguments([]byte(words[0]))
	case len(words) == 1 && !isPair(words[0]):
		return arguments{}, newUsageError(argumentsHint, "argument %q is neither a JSON object nor a key=value pair", words[0])
	}
	var pairs []pair
	for _, word := range words {
		if !isPair(word) {
			return arguments{}, newUsageError(argumentsHint, "argument %q is not a key=value pair", word)
		}
		name, value, _ := strings.Cut(word, "=")
		if slices.ContainsFunc(pairs, func(p pair) bool { return p.name == name }) {
			return arguments{}, newUsageError("pass each argument once", "argument %q appears twice", name)
		}
		pairs = append(pairs, pair{name, value})
	}
	return arguments{pairs: pairs}, nil
}

// isPair reports whether a word is a key=value pair, as opposed to JSON that contains
// an equals sign.
func isPair(word string) bool {
	name, _, found := strings.Cut(word, "=")
	return found && name != "" && !strings.ContainsAny(name, "{}[]\" \t\n")
}

// seemsJSON reports whether a word is JSON, or begins as an object or an array does. It is
// true for a word that is too long for anything else.
func seemsJSON(word string) bool {
	if len(word) > maxArguments {
		return true
	}
	word = strings.TrimSpace(word)
	return strings.HasPrefix(word, "{") || strings.HasPrefix(word, "[") || json.Valid([]byte(word))
}

func objectArguments(data []byte) (arguments, error) {
	if len(data) > maxArguments {
		return arguments{}, newUsageError("send less", "arguments are longer than %d bytes", maxArguments)
	}
	data = bytes.TrimSpace(data)
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return arguments{}, newUsageError(argumentsHint, "arguments are not a JSON object: %s", jsonProblem(err))
	}
	if object == nil {
		return arguments{}, newUsageError(argumentsHint, "arguments are not a JSON object: got null")
	}
	return arguments{object: data}, nil
}

// jsonProblem describes an error of encoding/json without the names of Go types.
func jsonProblem(err error) string {
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		return "got a JSON " + typeErr.Value
	}
	return err.Error()
}

// readAll reads r to its end. It returns early if ctx ends.
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

// toObject returns the arguments as the JSON object for a tool with the given input
// schema, which may be nil. The value of a pair is a string if the schema allows one.
// Otherwise it is JSON if it is valid JSON: count=3 is a number unless the tool wants a
// string.
func (a arguments) toObject(schema map[string]any) json.RawMessage {
	if a.object != nil {
		return a.object
	}
	object := map[string]any{}
	for _, p := range a.pairs {
		object[p.name] = p.value
		if !allowsString(schema, p.name) && json.Valid([]byte(p.value)) {
			object[p.name] = json.RawMessage(p.value)
		}
	}
	data, _ := json.Marshal(object) // strings and valid JSON always marshal
	return data
}

// allowsString reports whether a schema allows a string for the property.
func allowsString(schema map[string]any, name string) bool {
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
