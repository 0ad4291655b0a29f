package gatewayfile

import (
	"bytes"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"go.yaml.in/yaml/v3"
)

const (
	// maxSecretFile bounds a file with a secret.
	maxSecretFile = 64 << 10
	// maxDepth bounds the nesting of a file. Alternatives of a requirement are the deepest.
	maxDepth = 16
)

// decoder fills values from YAML nodes and collects all mistakes.
type decoder struct {
	file   string
	getenv func(name string) string
	errors []error
	used   hash.Hash // of what the file refers to: variables and files
	files  []string  // that the file refers to
	depth  int
}

// report adds a mistake at a line.
func (d *decoder) report(line int, problem, fix string) {
	d.errors = append(d.errors, &yamlfile.Error{File: d.file, Line: line, Problem: problem, Fix: fix})
}

// structure reads the mapping n into v, a struct. what names it in errors.
func (d *decoder) structure(n *yaml.Node, what string, v reflect.Value) {
	if d.depth++; d.depth > maxDepth {
		d.report(n.Line, what+" is nested too deeply", "write it with fewer levels")
		return
	}
	defer func() { d.depth-- }()
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, fmt.Sprintf("%s is %s, want a mapping", what, kindOf(n)), mappingFix(what, v.Type()))
		return
	}
	members := membersOf(v.Type())
	lines := map[string]int{}
	for pair := range slices.Chunk(n.Content, 2) {
		d.member(pair[0], pair[1], what, members, lines, v)
	}
	for _, m := range members {
		if m.need && lines[m.name] == 0 {
			d.report(n.Line, what+" has no "+m.name, fmt.Sprintf("add %s (%s)", m.name, decapitalized(firstSentence(m.doc))))
		}
		if m.file && lines[m.name] > 0 && lines[strings.TrimSuffix(m.name, "_file")] > 0 {
			d.report(lines[m.name], fmt.Sprintf("%s is set in addition to %s", m.name, strings.TrimSuffix(m.name, "_file")), "remove one of them")
		}
	}
	if at := v.FieldByName("At"); at.IsValid() && at.Type() == typeAt {
		at.Set(reflect.ValueOf(At{n.Line, lines}))
	}
}

// member reads one member of a mapping.
func (d *decoder) member(key, value *yaml.Node, what string, members []member, lines map[string]int, v reflect.Value) {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == key.Value && key.Kind == yaml.ScalarNode })
	if i < 0 {
		var names []string
		for _, m := range members {
			names = append(names, m.name)
		}
		fix := "use one of " + strings.Join(names, ", ")
		if near := quote.Nearest(key.Value, names); near != "" {
			fix = fmt.Sprintf("did you mean %s?", near)
		}
		d.report(key.Line, fmt.Sprintf("%s has no member %s", what, yamlfile.Describe(key)), fix)
		return
	}
	m := members[i]
	if lines[m.name] > 0 {
		d.report(key.Line, fmt.Sprintf("%q appears twice", m.name), "remove one")
		return
	}
	lines[m.name] = key.Line
	field := v.FieldByIndex(m.index)
	switch {
	case m.file:
		d.secretFile(value, m.name, field)
	default:
		before := len(d.errors)
		d.value(value, m.name, field)
		if field.Kind() == reflect.String && (strings.HasSuffix(m.name, "_file") || strings.HasSuffix(m.name, "_folder")) {
			field.SetString(d.resolve(field.String()))
		}
		if m.one != nil && len(d.errors) == before && !slices.Contains(m.one, field.String()) {
			d.report(value.Line, fmt.Sprintf("%s is %s", m.name, quote.String(field.String())), "use one of "+strings.Join(m.one, ", "))
		}
	}
}

// value reads n into v. name is that of the member.
func (d *decoder) value(n *yaml.Node, name string, v reflect.Value) {
	t := v.Type()
	switch {
	case n.Kind == yaml.AliasNode:
		d.report(n.Line, name+" is an alias", "write the value itself")
	case t == typeDuration:
		d.duration(n, name, v)
	case t == typeNames:
		d.names(n, name, v)
	case t == typeProvider:
		d.provider(n, v.Addr().Interface().(*Provider))
	case t == typeUpstream && n.Kind == yaml.ScalarNode:
		u := v.Addr().Interface().(*Upstream)
		u.At = At{line: n.Line}
		d.text(n, name, reflect.ValueOf(&u.URL).Elem())
	case isSecret(t):
		d.secret(n, name, v)
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, name, v.Elem())
	case t.Kind() == reflect.Struct:
		d.structure(n, structName(name), v)
	case t.Kind() == reflect.Slice:
		d.list(n, name, v)
	case t.Kind() == reflect.Map:
		d.mapping(n, name, v)
	case t.Kind() == reflect.String:
		d.text(n, name, v)
	case t.Kind() == reflect.Bool:
		d.boolean(n, name, v)
	default:
		d.number(n, name, v)
	}
}

func (d *decoder) boolean(n *yaml.Node, name string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		d.report(n.Line, fmt.Sprintf("%s is %s, want true or false", name, yamlfile.Describe(n)), "write true or false without quotes")
		return
	}
	v.SetBool(strings.EqualFold(n.Value, "true"))
}

func (d *decoder) number(n *yaml.Node, name string, v reflect.Value) {
	number, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		d.report(n.Line, fmt.Sprintf("%s is %s, want a whole number", name, yamlfile.Describe(n)), "write it in digits, without quotes and units")
		return
	}
	v.SetInt(number)
}

func (d *decoder) duration(n *yaml.Node, name string, v reflect.Value) {
	parsed, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || parsed < 0 {
		d.report(n.Line, fmt.Sprintf("%s is %s, want a duration", name, yamlfile.Describe(n)), `write it with a unit, like 30s, 5m or 1h`)
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) list(n *yaml.Node, name string, v reflect.Value) {
	if v.Type() == typeKeys {
		d.secrets(n, name, v)
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.report(n.Line, fmt.Sprintf("%s is %s, want a list", name, yamlfile.Describe(n)), `write "- " before each item, or [a, b]`)
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, singular(name), items.Index(i))
	}
	v.Set(items)
}

// secrets reads a list of secrets. A mistake in it is reported without their values.
func (d *decoder) secrets(n *yaml.Node, name string, v reflect.Value) {
	isOther := func(item *yaml.Node) bool { return item.Kind != yaml.ScalarNode || item.Tag != "!!str" }
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || slices.ContainsFunc(n.Content, isOther) {
		d.report(n.Line, name+" is not a list of texts", fmt.Sprintf("write it like %s: [\"${NAME}\"], or use %s_file", name, name))
		return
	}
	keys := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		setSecret(keys.Index(i), d.expand(item, fmt.Sprintf("%s[%d]", name, i)))
	}
	v.Set(keys)
}

func (d *decoder) mapping(n *yaml.Node, name string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, fmt.Sprintf("%s is %s, want a mapping", name, yamlfile.Describe(n)), "write it as names and values")
		return
	}
	out := reflect.MakeMap(v.Type())
	for pair := range slices.Chunk(n.Content, 2) {
		key := reflect.ValueOf(pair[0].Value)
		if out.MapIndex(key).IsValid() {
			d.report(pair[0].Line, fmt.Sprintf("%q appears twice", pair[0].Value), "remove one")
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(pair[1], name+"."+quote.Clip(pair[0].Value, quote.MaxBytes), item)
		out.SetMapIndex(key, item)
	}
	v.Set(out)
}

// names reads one text or a list of them.
func (d *decoder) names(n *yaml.Node, name string, v reflect.Value) {
	if n.Kind == yaml.SequenceNode {
		d.list(n, name, v)
		if v.Len() == 0 {
			d.report(n.Line, name+" is an empty list", "write a name, or remove it")
		}
		return
	}
	var one string
	d.text(n, name, reflect.ValueOf(&one).Elem())
	v.Set(reflect.ValueOf(Names{one}))
}

// text reads a text with the variables of the environment that it names.
func (d *decoder) text(n *yaml.Node, name string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		fix := "write it in quotes"
		if n.Kind == yaml.ScalarNode {
			fix = fmt.Sprintf("write it in quotes: %q", quote.Clip(n.Value, quote.MaxBytes))
		}
		d.report(n.Line, fmt.Sprintf("%s is %s, want a text", name, yamlfile.Describe(n)), fix)
		return
	}
	v.SetString(d.expand(n, name))
}

// expand replaces ${NAME} by the variable of the environment, and $${ by ${.
func (d *decoder) expand(n *yaml.Node, name string) string {
	rest, out := n.Value, ""
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			return out + rest
		}
		if i > 0 && rest[i-1] == '$' {
			out, rest = out+rest[:i-1]+"${", rest[i+2:]
			continue
		}
		variable, after, found := strings.Cut(rest[i+2:], "}")
		if !found || !isVariable(variable) {
			d.report(n.Line, name+" has ${ without the name of a variable", `write it like "${CLIENT_SECRET}", or "$${" for the text itself`)
			return out
		}
		value := d.getenv(variable)
		if value == "" {
			d.report(n.Line, fmt.Sprintf("%s needs the environment variable %s, which is not set", name, variable), "set it, also in .env")
		}
		fmt.Fprintf(d.used, "%s=%d:%s\n", variable, len(value), value)
		out, rest = out+rest[:i]+value, after
	}
}

func isVariable(name string) bool {
	return name != "" && len(name) <= quote.MaxBytes && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// secret reads a secret. A mistake in it is reported without its value.
func (d *decoder) secret(n *yaml.Node, name string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		d.report(n.Line, name+" is not a text", fmt.Sprintf("write it like %s: \"${NAME}\", or use %s_file", name, name))
		return
	}
	setSecret(v, d.expand(n, name))
}

// secretFile reads a secret from the file that the member names.
func (d *decoder) secretFile(n *yaml.Node, name string, v reflect.Value) {
	var path string
	before := len(d.errors)
	d.text(n, name, reflect.ValueOf(&path).Elem())
	if len(d.errors) > before {
		return
	}
	text, err := d.readFile(d.resolve(path), maxSecretFile)
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case err != nil:
		d.report(n.Line, fmt.Sprintf("%s %q cannot be read: %v", name, path, err), "check the path and the permissions")
	case len(text) == 0:
		d.report(n.Line, fmt.Sprintf("%s %q is empty", name, path), "write the secret into it")
	case v.Type() == typeKeys:
		for line := range strings.Lines(string(text)) {
			v.Set(reflect.Append(v, reflect.ValueOf(gatehouse.SessionKey(strings.TrimSpace(line)))))
		}
	default:
		setSecret(v, string(text))
	}
}

func setSecret(v reflect.Value, secret string) {
	if v.Kind() == reflect.Slice {
		v.SetBytes([]byte(secret))
		return
	}
	v.SetString(secret)
}

// readFile reads a file that the configuration names. path is that of resolve.
func (d *decoder) readFile(path string, limit int64) ([]byte, error) {
	d.files = append(d.files, path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is not a regular file")
	case info.Size() > limit:
		return nil, fmt.Errorf("it is longer than %d bytes", limit)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	fmt.Fprintf(d.used, "%s=%d:%s\n", path, len(text), text)
	return text, nil
}

// resolve returns the path of a file that the configuration names. A relative path begins at the
// folder of the configuration.
func (d *decoder) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.file), path)
}

// provider reads an identity provider: its name, or a mapping with its name and settings.
func (d *decoder) provider(n *yaml.Node, p *Provider) {
	p.At = At{line: n.Line}
	name := n
	if n.Kind == yaml.MappingNode {
		name = nil
		for pair := range slices.Chunk(n.Content, 2) {
			if pair[0].Value == "name" {
				name = pair[1]
			}
		}
		if name == nil {
			d.report(n.Line, "the provider has no name", "add name: "+strings.Join(providername.Names(), ", "))
			return
		}
	}
	before := len(d.errors)
	d.text(name, "name", reflect.ValueOf(&p.Name).Elem())
	if len(d.errors) > before {
		return
	}
	known, ok := providername.Find(p.Name)
	if !ok {
		fix := "use one of " + strings.Join(providername.Names(), ", ")
		if near := providername.Nearest(p.Name); near != "" {
			fix = fmt.Sprintf("did you mean %s?", near)
		}
		d.report(name.Line, fmt.Sprintf("provider %s is not known", quote.String(p.Name)), fix)
		return
	}
	config := known.NewConfig()
	if n.Kind == yaml.MappingNode {
		settings := *n
		settings.Content = nil
		for pair := range slices.Chunk(n.Content, 2) {
			if pair[0].Value != "name" {
				settings.Content = append(settings.Content, pair...)
			}
		}
		d.structure(&settings, "the provider "+p.Name, reflect.ValueOf(config).Elem())
		p.lines = map[string]int{}
		for pair := range slices.Chunk(n.Content, 2) {
			p.lines[pair[0].Value] = pair[0].Line
		}
	}
	if len(d.errors) == before {
		p.config = config
	}
}

// structName returns how errors name the mapping of a member, or an item of a list.
func structName(name string) string {
	switch name {
	case "endpoint", "upstream":
		return "an " + name
	case "requirement":
		return "a requirement"
	case "any_of":
		return "an alternative in any_of"
	}
	return "the section " + name
}

func singular(name string) string { return strings.TrimSuffix(name, "s") }

func firstSentence(doc string) string {
	sentence, _, _ := strings.Cut(doc, ". ")
	return strings.TrimSuffix(sentence, ".")
}

// kindOf returns what n is. A value is not shown: it may be a URL with a password.
func kindOf(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return "a single value"
	}
	return yamlfile.Describe(n)
}

// mappingFix returns how to write the mapping for a struct, which errors name what.
func mappingFix(what string, t reflect.Type) string {
	fix := "write it as names and values"
	if section, ok := strings.CutPrefix(what, "the section "); ok {
		fix += fmt.Sprintf(", like %s: {%s: …}", section, membersOf(t)[0].name)
	}
	return fix
}

// decapitalized returns a sentence that begins with a small letter, unless it begins with an acronym.
func decapitalized(sentence string) string {
	if len(sentence) < 2 || sentence[1] >= 'A' && sentence[1] <= 'Z' {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}

func withoutPath(err error) error {
	if pathError, ok := err.(*os.PathError); ok {
		return pathError.Err
	}
	return err
}
