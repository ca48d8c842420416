package history

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func TestATamperedCursorIsRefused(t *testing.T) {
	t.Parallel()
	good := key{1_700_000_000_000, "run", "recipe", "app"}.cursor()
	if _, err := parseCursor(good); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	store := New(nil, nil) // it is not asked
	for name, cursor := range map[string]string{
		"cut": good[:len(good)-4], "padded": good + "=", "newline": good + "\n", "other alphabet": "+/+/",
		"words": "next page", "short": encode(raw[:8]),
		"another version": encode(append([]byte{2}, raw[1:]...)),
		"a quote":         encode([]byte(strings.Replace(string(raw), "run", "r'n", 1))),
		"before 1970":     key{-1, "run", "recipe", "app"}.cursor(), "after 2199": key{endsAt, "run", "recipe",
			"app"}.cursor(),
		"no run": key{1, "", "recipe", "app"}.cursor(), "one more part": encode(append(raw, "\x00x"...)),
		"long id": key{1, strings.Repeat("r", 129), "recipe", "app"}.cursor(),
	} {
		if _, err := store.Runs(t.Context(), Query{Workspace: "acme", Cursor: cursor}); !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCursor: nothing panics. An accepted cursor has a valid key, and is the only text of that key.
func FuzzCursor(f *testing.F) {
	f.Add(key{0, "r", "copilot", "a"}.cursor())
	f.Add(key{endsAt - 1, strings.Repeat("r", 128), "recipe", "a:b~c"}.cursor())
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseCursor(text)
		if err != nil {
			if !errors.Is(err, ErrCursor) || k != (key{}) {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		if k.cursor() != text {
			t.Fatalf("%q is %+v, whose cursor is %q", text, k, k.cursor())
		}
		if k.started < 0 || k.started >= endsAt || !idRule.MatchString(k.run) || !idRule.MatchString(k.source) ||
			!idRule.MatchString(k.app) {
			t.Fatalf("%+v", k)
		}
	})
}
