package env

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/joho/godotenv"
)

const (
	fileName = ".env"
	maxBytes = 64 << 10 // of the file

	// maxStatementLines bounds the lines of one value in the search for an invalid line.
	// The longest such values are PEM keys.
	maxStatementLines = 128
)

var byteOrderMark = []byte("\ufeff")

// readFile returns the settings of the .env file in dir, or none if there is no such
// file. A directory with that name is ignored: Python keeps virtual environments in one.
func readFile(dir string) (map[string]string, error) {
	path := filepath.Join(dir, fileName)
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes; keep only settings in it", path, maxBytes)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s is not UTF-8 text; save it as UTF-8", path)
	}
	text := string(bytes.TrimPrefix(data, byteOrderMark))
	settings, ok := parse(text)
	if !ok {
		return nil, fmt.Errorf(`%s line %d is not a setting; write NAME=value, and close every quote`, path, invalidLine(text))
	}
	return settings, nil
}

// parse returns the settings in text, and whether text is valid. It drops the parser's
// error, which quotes the rest of the file with all secrets in it. The parser reads a
// line without = as a value without a name, so parse checks the names.
func parse(text string) (map[string]string, bool) {
	settings, err := godotenv.Unmarshal(text)
	if err != nil {
		return nil, false
	}
	for name := range settings {
		if name == "" || strings.ContainsFunc(name, notInName) {
			return nil, false
		}
	}
	return settings, true
}

func notInName(r rune) bool {
	alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alphanumeric && r != '_' && r != '.'
}

// invalidLine returns the number of the first line, from 1, at which no valid statement
// begins.
func invalidLine(text string) int {
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); {
		n := statement(lines[i:])
		if n == 0 {
			return i + 1
		}
		i += n
	}
	return len(lines)
}

// statement returns the number of lines of the first statement, or 0 if it is invalid.
func statement(lines []string) int {
	for n := 1; n <= min(len(lines), maxStatementLines); n++ {
		if _, ok := parse(strings.Join(lines[:n], "")); ok {
			return n
		}
	}
	return 0
}
