package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestArgumentsToObject(t *testing.T) {
	t.Parallel()
	schema := map[string]any{"properties": map[string]any{
		"name":  map[string]any{"type": "string"},
		"maybe": map[string]any{"type": []any{"null", "string"}},
		"count": map[string]any{"type": "integer"},
		"list":  map[string]any{"type": "array"},
	}}
	for _, test := range []struct {
		words  string
		schema map[string]any
		want   string
	}{
		{"", schema, `{}`},
		{`{"a":[1]}`, schema, `{"a":[1]}`},
		{"name=7", schema, `{"name":"7"}`},
		{"name=true", schema, `{"name":"true"}`},
		{"maybe=null", schema, `{"maybe":"null"}`},
		{"count=3", schema, `{"count":3}`},
		{"count=three", schema, `{"count":"three"}`},
		{"count=03", schema, `{"count":"03"}`},
		{"list=[1,2]", schema, `{"list":[1,2]}`},
		{"other=1", schema, `{"other":1}`},
		{"other=", schema, `{"other":""}`},
		{"name=a=b", schema, `{"name":"a=b"}`},
		{"name=7", nil, `{"name":7}`},
		{"a=1 b=x", nil, `{"a":1,"b":"x"}`},
	} {
		t.Run(test.words, func(t *testing.T) {
			t.Parallel()
			got, err := readArguments(t.Context(), nil, strings.Fields(test.words))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(got.toObject(test.schema)); got != test.want {
				t.Errorf("arguments %q = %s, want %s", test.words, got, test.want)
			}
		})
	}
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	const neither = "is neither a JSON object nor a key=value pair"
	for _, test := range []struct{ word, wantErr string }{
		{"city=Rome", ""}, // the control
		{"foo", `argument "foo" ` + neither},
		{"", `argument "" ` + neither},
		{"=Rome", `argument "=Rome" ` + neither},
		{`"a"=1`, neither},
		{`{"city":`, "arguments are not a JSON object: unexpected end of JSON input"},
		{"[1]", "arguments are not a JSON object: got a JSON array"},
		{"true", "arguments are not a JSON object: got a JSON bool"},
		{"null", "arguments are not a JSON object: got null"},
	} {
		_, err := readArguments(t.Context(), nil, []string{test.word})
		if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
			t.Errorf("readArguments(%q) = %v, want %q", test.word, err, test.wantErr)
		}
	}
}

// FuzzReadArguments checks that accepted arguments become a JSON object.
func FuzzReadArguments(f *testing.F) {
	for _, seed := range []string{`{"city":"Rome"}`, "city=Rome", "a=1 b=[2]", "{", "[1]", "null", "=", "a=\x00", `"a"=1`, "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := readArguments(t.Context(), strings.NewReader(line), strings.Fields(line))
		if err != nil {
			return
		}
		var object map[string]any
		if err := json.Unmarshal(got.toObject(nil), &object); err != nil || object == nil {
			t.Fatalf("arguments %q became %s: %v", line, got.toObject(nil), err)
		}
	})
}
