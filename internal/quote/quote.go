// Package quote bounds untrusted text, such as what a token, a client or another
// server sent, before it goes into an error message or a log. It is the one
// definition of truncation in this repository; localclerk, which imports nothing of
// it, has its own.
package quote

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBytes bounds one value that [String], [List] and [OneOf] quote, before
	// escaping.
	MaxBytes = 128

	// MaxItems bounds the items that [List] and [OneOf] show.
	MaxItems = 4

	ellipsis = "…"
)

// Clip returns s if it is at most maxBytes long, and otherwise its first maxBytes
// bytes and an ellipsis. It cuts between characters and replaces invalid UTF-8 with
// U+FFFD, so that the result is always valid UTF-8. It does not escape: text with
// line breaks keeps them.
func Clip(s string, maxBytes int) string {
	return strings.ToValidUTF8(cut(s, maxBytes), string(utf8.RuneError))
}

// String returns s as a Go string literal, like %q, cut after [MaxBytes] bytes.
func String(s string) string { return strconv.Quote(cut(s, MaxBytes)) }

// List returns items as ["a", "b"], cut after [MaxItems] items: ["a", "b", "c", "d",
// 3 more]. Each item is cut like [String] does.
func List(items []string) string {
	quoted := make([]string, 0, MaxItems+1)
	for i, item := range items {
		if i == MaxItems {
			quoted = append(quoted, fmt.Sprintf("%d more", len(items)-i))
			break
		}
		quoted = append(quoted, String(item))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// OneOf returns items as the wanted values of a message: "a" for one item, and
// otherwise one of ["a", "b"], cut like [List] does.
func OneOf(items []string) string {
	if len(items) == 1 {
		return String(items[0])
	}
	return "one of " + List(items)
}

// cut returns s, or its first maxBytes bytes and an ellipsis. A character that would
// be divided is left out. In text that is not UTF-8, it cuts at the byte.
func cut(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return s
	}
	for back := range utf8.UTFMax {
		if end := maxBytes - back; end >= 0 && utf8.RuneStart(s[end]) {
			return s[:end] + ellipsis
		}
	}
	return s[:maxBytes] + ellipsis
}
