package token

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

const (
	// latestDate is the end of the year 9999, in seconds. A date in milliseconds is later.
	latestDate = 253402300799
	// maxDateText bounds the text of a NumericDate, in bytes.
	maxDateText = 40
)

// textOrNull returns the characters of a JSON string, or "" for no value.
func textOrNull(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	return strictjson.Text(v)
}

// texts returns the items of an array of strings, or a single string as one item.
func texts(v string) ([]string, error) {
	switch strictjson.Kind(v) {
	case '"':
		s, err := strictjson.Text(v)
		return []string{s}, err
	case '[':
		return strictjson.Texts(v)
	}
	return nil, fmt.Errorf("got %s, want a string or an array of strings", strictjson.Describe(v))
}

// scopes returns the words of a string, which only spaces separate (RFC 6749 §3.3),
// or the items of an array of strings, or nil for no value.
func scopes(v string) ([]string, error) {
	if v == "" {
		return nil, nil
	}
	if strictjson.Kind(v) == '"' {
		s, err := strictjson.Text(v)
		return words(s), err
	}
	return texts(v)
}

// words returns the words of s, which only spaces separate.
func words(s string) []string {
	return slices.DeleteFunc(strings.Split(s, " "), func(word string) bool { return word == "" })
}

// date returns a NumericDate: seconds since 1970, fractions allowed (RFC 7519 §2).
func date(v string) (time.Time, error) {
	if strictjson.Kind(v) != '0' {
		return time.Time{}, fmt.Errorf("got %s, want a number of seconds", strictjson.Describe(v))
	}
	if len(v) > maxDateText {
		return time.Time{}, fmt.Errorf("got a number of %d characters, want at most %d", len(v), maxDateText)
	}
	if seconds, err := strconv.ParseUint(v, 10, 64); err == nil && seconds <= latestDate { // as almost all issuers write it
		return time.Unix(int64(seconds), 0), nil
	}
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil || seconds < 0 || seconds > latestDate {
		return time.Time{}, fmt.Errorf("got %s, want seconds between the years 1970 and 9999", v)
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}
