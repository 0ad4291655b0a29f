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
	// MaxBytes bounds the .env file.
	MaxBytes = 64 << 10

	// maxStatementLines bounds how far the search for a broken line follows a
	// value over several lines. The longest such values are PEM keys.
	maxStatementLines = 128
)

var byteOrderMark = []byte("\ufeff")

// readFile returns the settings of the .env file in dir, or none if there is no
// such file. A directory of that name is none: Python keeps environments there.
func readFile(dir string) (map[string]string, error) {
	path := filepath.Join(dir, FileName)
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes; keep only settings in it", path, MaxBytes)
	}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s is not UTF-8 text; save it as UTF-8", path)
	}
	text := string(bytes.TrimPrefix(data, byteOrderMark))
	settings, ok := parse(text)
	if !ok {
		return nil, fmt.Errorf(`%s line %d is no setting; write NAME=value, and close every quote`, path, brokenLine(text))
	}
	return settings, nil
}

// parse reports whether text is a .env file, and what it sets. It drops the
// parser's error, which quotes the rest of the file, secrets included. The
// parser itself takes a line without = for a value without a name.
func parse(text string) (map[string]string, bool) {
	settings, err := godotenv.Unmarshal(text)
	if err != nil {
		return nil, false
	}
	for name := range settings {
		if name == "" || strings.ContainsFunc(name, notName) {
			return nil, false
		}
	}
	return settings, true
}

func notName(r rune) bool {
	alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alphanumeric && r != '_' && r != '.'
}

// brokenLine returns the number of the first line, from 1, at which no
// statement begins.
func brokenLine(text string) int {
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

// statement returns how many lines the first statement has, or 0 if it is broken.
func statement(lines []string) int {
	for n := 1; n <= min(len(lines), maxStatementLines); n++ {
		if _, ok := parse(strings.Join(lines[:n], "")); ok {
			return n
		}
	}
	return 0
}
