package bucket

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of keys in bytes: that of S3, and that of a name in a file system.
const (
	maxKey     = 1024
	maxSegment = 255
)

// checkKey refuses keys that some store could confuse with another key, or with a place outside of
// the store.
func checkKey(key string) error {
	if rule := keyRule(key); rule != "" {
		if len(key) > 100 {
			key = key[:100] + "…"
		}
		return fmt.Errorf("object key %q %s", key, rule)
	}
	return nil
}

// keyRule returns the rule that a key breaks, or "".
func keyRule(key string) string {
	switch {
	case key == "":
		return "is empty"
	case len(key) > maxKey:
		return fmt.Sprintf("has more than %d bytes", maxKey)
	case !utf8.ValidString(key):
		return "is not UTF-8"
	}
	for _, c := range key {
		if c < 0x20 || c == 0x7f || c == '\\' {
			return "has a control character or a backslash"
		}
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return "has an empty part between slashes, or a slash at its start or end"
		case segment[0] == '.':
			return "has a part that starts with a dot"
		case len(segment) > maxSegment:
			return fmt.Sprintf("has a part of more than %d bytes", maxSegment)
		}
	}
	return ""
}
