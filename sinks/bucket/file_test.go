package bucket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// child names what this test binary does when a test runs it again as another process.
const child = "MILLRACE_TEST_BUCKET_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(child) {
	case "":
		os.Exit(m.Run())
	case "race":
		childRace(os.Args[1], os.Args[2])
	case "die":
		childDie(os.Args[1])
	}
}

func openTemp(t *testing.T) *Bucket {
	t.Helper()
	return openURL(t, fileURL(filepath.Join(t.TempDir(), "new", "bücket %")))
}

func fileURL(dir string) string { return (&url.URL{Scheme: "file", Path: dir}).String() }

func openURL(t *testing.T, url string) *Bucket {
	t.Helper()
	b, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFileStore(t *testing.T) {
	t.Parallel()
	accept(t, openTemp)
}

func TestFileURLsArePaths(t *testing.T) {
	t.Parallel()
	b := openTemp(t)
	defer b.Close()
	if err := b.Create(t.Context(), "a b/ü?.txt", []byte("text")); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(b.URL("a b/ü?.txt"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(u.Path)
	if err != nil || string(body) != "text" {
		t.Errorf("%s: %q, %v", u, body, err)
	}
}

func TestFileKeysDoNotFollowLinksOutOfTheFolder(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	b := openURL(t, fileURL(dir))
	defer b.Close()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if body, err := b.Read(t.Context(), "link/secret"); err == nil {
		t.Errorf("read %q", body)
	}
	if err := b.Create(t.Context(), "link/new", nil); err == nil {
		t.Error("created outside of the folder")
	}
	if err := b.Delete(t.Context(), "link/secret"); err == nil {
		t.Error("deleted outside of the folder")
	}
	expectKeys(t, b, "")
}

// What gocloud's fileblob fails: two processes both won 1,388 of 2,000 keys.
func TestFileKeysHaveOneWinnerAmongProcesses(t *testing.T) {
	t.Parallel()
	const processes = 4
	dir := t.TempDir()
	b := openURL(t, fileURL(dir))
	defer b.Close()
	winner := map[string]string{}
	var children []*exec.Cmd
	var inputs []io.WriteCloser
	var outputs []*bufio.Scanner
	for i := range processes {
		cmd, in, out := start(t, "race", fileURL(dir), fmt.Sprint(i))
		children, inputs, outputs = append(children, cmd), append(inputs, in), append(outputs, out)
		if !out.Scan() || out.Text() != "ready" {
			t.Fatalf("process %d: %q", i, out.Text())
		}
	}
	for _, in := range inputs {
		in.Close() // go
	}
	for i, out := range outputs {
		for out.Scan() {
			if first, won := winner[out.Text()]; won {
				t.Errorf("%s won by process %s and by %d", out.Text(), first, i)
			}
			winner[out.Text()] = fmt.Sprint(i)
		}
		if err := children[i].Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	if len(winner) != raceKeys {
		t.Errorf("%d of %d keys have a winner", len(winner), raceKeys)
	}
	wins := map[string]int{}
	for key, process := range winner {
		wins[process]++
		if got := string(mustRead(t, b, key)); got != raceBody(key, process) {
			t.Errorf("%s: won by %s, holds %.40q", key, process, got)
		}
	}
	if len(wins) < 2 {
		t.Errorf("no race: %v", wins)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, incomplete)); len(left) != 0 {
		t.Errorf("%d incomplete files left", len(left))
	}
}

const raceKeys = 2000

func raceBody(key, process string) string { return strings.Repeat(key+" by "+process+"\n", 50) }

func childRace(url, process string) {
	ctx := context.Background()
	b, err := Open(ctx, url)
	check(err)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for i := range raceKeys {
		key := fmt.Sprintf("race/%d/%d", i%10, i)
		switch err := b.Create(ctx, key, []byte(raceBody(key, process))); {
		case err == nil:
			fmt.Println(key)
		case !errors.Is(err, ErrExists):
			check(err)
		}
	}
}

func TestFileLeftByAKilledProcessIsNoObjectAndIsRemovedLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, _, out := start(t, "die", fileURL(dir))
	if !out.Scan() || out.Text() != "written" {
		t.Fatalf("%q", out.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	b := openURL(t, fileURL(dir))
	defer b.Close()
	expectKeys(t, b, "")
	left, err := os.ReadDir(filepath.Join(dir, incomplete))
	if err != nil || len(left) != 1 {
		t.Fatalf("%d incomplete files: %v", len(left), err)
	}
	w, err := b.NewWriter(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-staleAfter - time.Minute)
	if err := os.Chtimes(filepath.Join(dir, incomplete, left[0].Name()), old, old); err != nil {
		t.Fatal(err)
	}
	second := openURL(t, fileURL(dir))
	defer second.Close()
	if _, err := os.Stat(filepath.Join(dir, incomplete, left[0].Name())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the dead writer's file: %v", err)
	}
	fmt.Fprint(w, "alive")
	if err := w.Commit(); err != nil {
		t.Errorf("the living writer: %v", err)
	}
	expectKeys(t, second, "", "a/b")
}

func childDie(url string) {
	ctx := context.Background()
	b, err := Open(ctx, url)
	check(err)
	w, err := b.NewWriter(ctx, "a/b")
	check(err)
	_, err = w.Write([]byte("half"))
	check(err)
	fmt.Println("written")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestFileSweptFromUnderItsWriterIsNotCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openURL(t, fileURL(dir))
	defer b.Close()
	w, err := b.NewWriter(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, "text")
	b.store.(*folder).sweep(time.Now().Add(time.Hour))
	if err := w.Commit(); err == nil {
		t.Error("committed")
	}
	expectKeys(t, b, "")
}

func start(t *testing.T, what string, args ...string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), child+"="+what)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, in, bufio.NewScanner(out)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A window of 30,000 runs is 200 fragments of 150.
func BenchmarkFileWindow(b *testing.B) {
	body := make([]byte, 165<<10)
	for _, mode := range []string{"create each", "commit and sync together"} {
		b.Run(mode, func(b *testing.B) {
			bucket, err := Open(b.Context(), fileURL(b.TempDir()))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(200 * len(body)))
			for window := 0; b.Loop(); window++ {
				var keys []string
				for i := range 200 {
					keys = append(keys, fmt.Sprintf("exports/acme/e/data/train-%05d-%05d-a.jsonl", window, i))
					if mode == "create each" {
						if err := bucket.Create(b.Context(), keys[i], body); err != nil {
							b.Fatal(err)
						}
						continue
					}
					w, err := bucket.NewWriter(b.Context(), keys[i])
					if err != nil {
						b.Fatal(err)
					}
					if _, err := w.Write(body); err != nil {
						b.Fatal(err)
					}
					if err := w.Commit(); err != nil {
						b.Fatal(err)
					}
				}
				if mode != "create each" {
					if err := bucket.Sync(b.Context(), keys); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
