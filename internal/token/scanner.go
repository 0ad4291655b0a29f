package token

import (
	"fmt"
	"strconv"
	"strings"
)

// scanner reads JSON values (RFC 8259) from text.
type scanner struct {
	text string
	at   int // bytes read
}

func (s *scanner) fault(problem string) error {
	return fmt.Errorf("byte %d: %s", s.at, problem)
}

// peek returns the next byte, or 0 at the end: no JSON has a NUL outside an error.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// take reads the next byte if it is c.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) space() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' && strings.IndexByte(" \t\n\r", s.text[s.at]) >= 0 {
		s.at++
	}
}

// scan reads one value that lies inside depth arrays and objects.
func (s *scanner) scan(depth int) (value, error) {
	start, escaped := s.at, false
	var err error
	switch c := s.peek(); c {
	case '"':
		escaped, err = s.scanString()
	case '{':
		err = s.scanObject(depth + 1)
	case '[':
		err = s.scanArray(depth + 1)
	case 't':
		err = s.scanWord("true")
	case 'f':
		err = s.scanWord("false")
	case 'n':
		err = s.scanWord("null")
	default:
		err = s.scanNumber()
	}
	return value{raw: s.text[start:s.at], escaped: escaped}, err
}

func (s *scanner) scanWord(word string) error {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return s.fault("want a value")
	}
	s.at += len(word)
	return nil
}

func (s *scanner) scanString() (escaped bool, err error) {
	s.at++
	for {
		s.at += plain(s.text[s.at:])
		switch c := s.peek(); {
		case c == '"':
			s.at++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := s.scanEscape(); err != nil {
				return escaped, err
			}
		case s.at == len(s.text):
			return escaped, s.fault("string without an end")
		default:
			return escaped, s.fault("control character in a string")
		}
	}
}

// plain returns how many bytes at the start of text stand for themselves in a string.
func plain(text string) int {
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(text)
}

func (s *scanner) scanEscape() error {
	s.at++
	c := s.peek()
	if c == 0 || !strings.ContainsRune(`"\/bfnrtu`, rune(c)) {
		return s.fault("unknown escape")
	}
	s.at++
	if c != 'u' {
		return nil
	}
	for range 4 {
		if c := s.peek() | 0x20; !isDigit(s.peek()) && (c < 'a' || c > 'f') {
			return s.fault("want four hexadecimal digits")
		}
		s.at++
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) scanNumber() error {
	start := s.at
	s.take('-')
	if !s.take('0') && !s.scanDigits() {
		return s.fault("want a value")
	}
	if s.take('.') && !s.scanDigits() {
		return s.fault("want a digit")
	}
	exponent := s.take('e') || s.take('E')
	if exponent {
		if !s.take('+') {
			s.take('-')
		}
		if !s.scanDigits() {
			return s.fault("want a digit")
		}
	}
	// Those who decode the claims further must be able to read every number.
	if exponent || s.at-start > sureDigits {
		if _, err := strconv.ParseFloat(s.text[start:s.at], 64); err != nil {
			return s.fault("number too large")
		}
	}
	return nil
}

// sureDigits is how many digits a float64 can always hold, if not exactly.
const sureDigits = 300

// scanDigits reads one digit or more.
func (s *scanner) scanDigits() bool {
	start := s.at
	for isDigit(s.peek()) {
		s.at++
	}
	return s.at > start
}

func (s *scanner) scanArray(depth int) error {
	return s.scanItems(depth, ']', func() error {
		_, err := s.scan(depth)
		return err
	})
}

func (s *scanner) scanObject(depth int) error {
	return s.scanItems(depth, '}', func() error {
		if _, err := s.nameAndColon(); err != nil {
			return err
		}
		_, err := s.scan(depth)
		return err
	})
}

// scanItems reads what stands between the opening bracket, which is next, and the closing one.
func (s *scanner) scanItems(depth int, closing byte, item func() error) error {
	if depth > maxDepth {
		return s.fault(fmt.Sprintf("more than %d levels", maxDepth))
	}
	s.at++
	if s.space(); s.take(closing) {
		return nil
	}
	for {
		s.space()
		if err := item(); err != nil {
			return err
		}
		if s.space(); s.take(closing) {
			return nil
		}
		if !s.take(',') {
			return s.fault(fmt.Sprintf("want a comma or %q", closing))
		}
	}
}

// nameAndColon reads a member's name and goes on to its value.
func (s *scanner) nameAndColon() (value, error) {
	if s.space(); s.peek() != '"' {
		return value{}, s.fault("want a member name")
	}
	start := s.at
	escaped, err := s.scanString()
	if err != nil {
		return value{}, err
	}
	name := value{raw: s.text[start:s.at], escaped: escaped}
	if s.space(); !s.take(':') {
		return value{}, s.fault("want a colon")
	}
	s.space()
	return name, nil
}
