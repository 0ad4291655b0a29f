package strictjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// rejected are texts that no function of the package may accept.
var rejected = map[string]string{
	"empty":                      ``,
	"white space":                "  ",
	"no end":                     `{"a":1`,
	"two values":                 `{"a":1}{"a":1}`,
	"text after the object":      `{"a":1} x`,
	"bracket after the object":   `{"a":1}}`,
	"NUL after the object":       "{\"a\":1}\x00",
	"byte order mark":            "\ufeff{}",
	"same name twice":            `{"a":1,"a":1}`,
	"same name twice, escaped":   `{"a":1,"\u0061":1}`,
	"same name twice, deeper":    `{"a":{"b":1,"b":2}}`,
	"same name twice, in a list": `{"a":[[{"b":1,"b":2}]]}`,
	"not UTF-8":                  "{\"a\":\"\xff\"}",
	"name not UTF-8":             "{\"\xff\":1}",
	"overlong UTF-8":             "{\"a\":\"\xc0\x80\"}",
	"surrogate in UTF-8":         "{\"a\":\"\xed\xa0\x80\"}",
	"half a pair":                `{"a":"\ud83d"}`,
	"half a pair, deeper":        `{"a":["\ud83d"]}`,
	"half a pair in a name":      `{"\udc00":1}`,
	"number out of range":        `{"a":1e400}`,
	"number of 400 digits":       `{"a":[` + strings.Repeat("9", 400) + `]}`,
	"not a number":               `{"a":NaN}`,
	"leading zero":               `{"a":01}`,
	"comma at the end":           `{"a":1,}`,
	"comment":                    `{"a":1/**/}`,
	"too deep":                   `{"a":` + strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth) + `}`,
	"far too deep":               `{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	"too deep in objects":        strings.Repeat(`{"a":`, strictjson.MaxDepth) + "{}" + strings.Repeat("}", strictjson.MaxDepth),
}

func TestRejected(t *testing.T) {
	t.Parallel()
	for name, text := range rejected {
		if _, err := strictjson.Members([]byte(text)); err == nil {
			t.Errorf("Members accepts %s", name)
		}
		var v any
		if err := strictjson.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("Unmarshal accepts %s", name)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	deepest := strings.Repeat("[", strictjson.MaxDepth-1) + strings.Repeat("]", strictjson.MaxDepth-1)
	text := ` { "a" : "x\ny" , "\u0062":[1, {"a":2}], "A":null, "deep":` + deepest + ` } `
	got, err := strictjson.Members([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": `"x\ny"`, "b": `[1, {"a":2}]`, "A": "null", "deep": deepest}
	if len(got) != len(want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
	for name, value := range want {
		if string(got[name]) != value {
			t.Errorf("member %q is %s, want %s", name, got[name], value)
		}
	}
}

func TestMembersWantsAnObject(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"null", "true", "1", `"x"`, "[]", `[{"a":1}]`} {
		if _, err := strictjson.Members([]byte(text)); err == nil || !strings.Contains(err.Error(), "want an object") {
			t.Errorf("Members(%s): %v, want an error that asks for an object", text, err)
		}
	}
}

func TestMembersBound(t *testing.T) {
	t.Parallel()
	object := func(n int) []byte {
		members := map[string]int{}
		for i := range n {
			members[strings.Repeat("x", i)] = i
		}
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if got, err := strictjson.Members(object(strictjson.MaxMembers)); err != nil || len(got) != strictjson.MaxMembers {
		t.Errorf("%d members, %v; want all of them", len(got), err)
	}
	if _, err := strictjson.Members(object(strictjson.MaxMembers + 1)); err == nil {
		t.Error("accepts an object with one member too many")
	}
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	var got struct {
		A string   `json:"a"`
		B []string `json:"b"`
	}
	if err := strictjson.Unmarshal([]byte(`{"A":"other","a":"x","b":["y"],"c":{"d":1e3}}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.A != "x" || !reflect.DeepEqual(got.B, []string{"y"}) {
		t.Errorf("got %+v", got)
	}
}

func TestCheckSpelling(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		`"iss"`:      true,
		`"issuer"`:   true,
		`"x"`:        true,
		`"ISS"`:      false,
		`"Iss"`:      false,
		`"iſs"`:      false,
		`"\u0069ss"`: false,
		`"\u0049SS"`: false,
		`"\u0078"`:   true, // an escape in a name that nothing reads
	} {
		var spelling error
		walked := strictjson.Walk(`{`+name+`:1}`, func(m strictjson.Member) error {
			spelling = m.CheckSpelling("sub", "iss")
			return nil
		})
		if walked != nil || (spelling == nil) != ok {
			t.Errorf("name %s: %v, %v; want it accepted: %t", name, walked, spelling, ok)
		}
	}
}

// What is accepted has the same value for encoding/json.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range rejected {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"a":[1,-2.5e+3,"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"],"b":{"c":[{},[]]},"d":null,"e":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		var got, want any
		err := strictjson.Unmarshal(text, &got)
		members, walked := strictjson.Members(text)
		if !bytes.Equal(text, before) {
			t.Fatalf("%q was changed to %q", before, text)
		}
		object, isObject := got.(map[string]any)
		if walked == nil && (err != nil || !isObject) {
			t.Fatalf("Members reads %q, Unmarshal does not: %v", text, err)
		}
		if walked != nil && err == nil && isObject && len(object) <= strictjson.MaxMembers {
			t.Fatalf("Unmarshal reads %q, Members does not: %v", text, walked)
		}
		if err != nil {
			return
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("accepted %q, which encoding/json does not read: %v", text, err)
		}
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("%q is %v, encoding/json reads %v", text, got, want)
		}
		for name, value := range members {
			var member any
			if err := json.Unmarshal(value, &member); err != nil || !reflect.DeepEqual(member, object[name]) {
				t.Fatalf("member %q of %q is %s, want %v", name, text, value, object[name])
			}
		}
	})
}

func TestText(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{`""`: "", `"x"`: "x", `"a\n\u00e9\/"`: "a\né/", `"é"`: "é"} {
		if got, err := strictjson.Text(value); got != want || err != nil {
			t.Errorf("Text(%s) = %q, %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"null", "1", "true", "[]", "{}", ""} {
		if _, err := strictjson.Text(value); err == nil {
			t.Errorf("Text(%s) returns no error", value)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{`[]`: {}, `["x"]`: {"x"}, ` ["a", "\u00e9" ] `: {"a", "é"}} {
		got, err := strictjson.Texts(strings.TrimSpace(value))
		if !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("Texts(%s) = %q, %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{"", "null", `"x"`, "[null]", "[1]", `["x",1]`, `[["x"]]`, `["x"`, `["x",]`, `["x"]]`, `["\ud83d"]`} {
		if got, err := strictjson.Texts(value); err == nil {
			t.Errorf("Texts(%s) = %q, want an error", value, got)
		}
	}
}
