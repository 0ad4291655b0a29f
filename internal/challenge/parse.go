package challenge

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxBytes bounds what [Parse] reads, all lines together.
	MaxBytes = 16 << 10

	maxChallenges = 16
	maxParams     = 32
)

// A Challenge is one challenge of any scheme.
type Challenge struct {
	// Scheme is as written; schemes are compared without regard to case.
	Scheme string
	// Params are the parameters by their names in lower case, their values
	// unquoted. It is nil if there are none.
	Params map[string]string
	// Token68 is what some schemes send in place of parameters, or empty.
	Token68 string
}

// Parse returns the challenges of the lines of one response's WWW-Authenticate
// header (RFC 9110, section 11.6.1), in their order. It is strict: beside
// malformed text it refuses a parameter given twice in one challenge, and more
// than [MaxBytes] bytes, 16 challenges or 32 parameters in one. The error names
// the line and the byte, both from 1.
func Parse(headers []string) ([]Challenge, error) {
	size := 0
	for _, line := range headers {
		size += len(line)
	}
	if size > MaxBytes {
		return nil, fmt.Errorf("challenges of %d bytes, want at most %d", size, MaxBytes)
	}
	var p parser
	for i, line := range headers {
		p.line, p.pos = line, 0
		if err := p.list(); err != nil {
			return nil, fmt.Errorf("challenge line %d, byte %d: %w", i+1, p.pos+1, err)
		}
	}
	return p.challenges, nil
}

// A parser stands at pos in one line. A comma divides challenges and parameters
// alike, so it reads elements, and adds each to the list or to its last challenge.
type parser struct {
	challenges []Challenge
	line       string
	pos        int
}

func (p *parser) list() error {
	for p.skip(" \t,"); p.rest() != ""; p.skip(" \t,") {
		if err := p.element(); err != nil {
			return err
		}
		if p.skip(" \t"); p.rest() != "" && p.line[p.pos] != ',' {
			return p.want("a comma")
		}
	}
	return nil
}

// element reads a parameter, or a scheme with its token68 or first parameter.
func (p *parser) element() error {
	name := p.take(tokenChar)
	if name == "" {
		return p.want("a scheme or a parameter")
	}
	if p.equals() {
		return p.param(name)
	}
	if len(p.challenges) == maxChallenges {
		return fmt.Errorf("more than %d challenges", maxChallenges)
	}
	p.challenges = append(p.challenges, Challenge{Scheme: name})
	if p.skip(" ") == 0 || p.token68() {
		return nil
	}
	name = p.take(tokenChar)
	if name == "" {
		return nil
	}
	if !p.equals() {
		return p.want(fmt.Sprintf("= after %q", name))
	}
	return p.param(name)
}

func (p *parser) param(name string) error {
	if len(p.challenges) == 0 {
		return fmt.Errorf("parameter %q before any scheme", name)
	}
	c := &p.challenges[len(p.challenges)-1]
	name = strings.ToLower(name)
	switch _, twice := c.Params[name]; {
	case c.Token68 != "":
		return fmt.Errorf("parameter %q after a token68", name)
	case twice:
		return fmt.Errorf("parameter %q twice in one challenge", name)
	case len(c.Params) == maxParams:
		return fmt.Errorf("more than %d parameters in one challenge", maxParams)
	}
	value, err := p.value()
	if err != nil {
		return err
	}
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	c.Params[name] = value
	return nil
}

func (p *parser) value() (string, error) {
	if strings.HasPrefix(p.rest(), `"`) {
		p.pos++
		return p.quoted()
	}
	value := p.take(tokenChar)
	if value == "" {
		return "", p.want("a parameter value")
	}
	return value, nil
}

// quoted reads the rest of a quoted-string (RFC 9110, section 5.6.4).
func (p *parser) quoted() (string, error) {
	var value strings.Builder
	for escaped := false; p.rest() != ""; p.pos++ {
		c := p.line[p.pos]
		switch {
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", p.want("no control character")
		case escaped || c != '"' && c != '\\':
			value.WriteByte(c)
			escaped = false
		case c == '\\':
			escaped = true
		default:
			p.pos++
			return value.String(), nil
		}
	}
	return "", errors.New("quoted string without its end")
}

// token68 reads a token68 that ends its element: "a=" is one, "a=b" is none.
func (p *parser) token68() bool {
	start := p.pos
	body := p.take(token68Char)
	p.skip("=")
	end := p.pos
	p.skip(" \t")
	if body == "" || p.rest() != "" && p.line[p.pos] != ',' {
		p.pos = start
		return false
	}
	p.challenges[len(p.challenges)-1].Token68 = p.line[start:end]
	return true
}

// equals reads an equals sign and the white space that RFC 9110, section 11.2
// tolerates around it. Without the sign it reads nothing.
func (p *parser) equals() bool {
	start := p.pos
	if p.skip(" \t"); !strings.HasPrefix(p.rest(), "=") {
		p.pos = start
		return false
	}
	p.pos++
	p.skip(" \t")
	return true
}

func (p *parser) rest() string { return p.line[p.pos:] }

func (p *parser) want(what string) error {
	if p.rest() == "" {
		return errors.New("got the end, want " + what)
	}
	return fmt.Errorf("got %q, want %s", p.line[p.pos:p.pos+1], what)
}

// skip moves past any of chars and returns by how many bytes.
func (p *parser) skip(chars string) int {
	start := p.pos
	p.pos = len(p.line) - len(strings.TrimLeft(p.rest(), chars))
	return p.pos - start
}

// take reads the bytes that are valid.
func (p *parser) take(valid func(byte) bool) string {
	start := p.pos
	for p.rest() != "" && valid(p.line[p.pos]) {
		p.pos++
	}
	return p.line[start:p.pos]
}

// tokenChar is tchar of RFC 9110, section 5.6.2.
func tokenChar(c byte) bool { return alphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }

func token68Char(c byte) bool { return alphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
