package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whoever watches an export that waits does not keep a server from ending.
func TestServeEndsWhileExportsAreWatched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := append(s.env, "HTTP_ADDR=127.0.0.1:0").start(t, "serve")
	at := endpoint{url: ready(t, server)}
	filed := at.call(t, http.MethodPost, "/v1/exports", `{"purpose":"export_dataset","source":"recipe","app_id":"a","selection":{"limit":1}}`,
		"Content-Type: application/json").is(t, http.StatusAccepted).object(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at.url+"/v1/exports/"+filed["export_id"].(string)+"/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	if !strings.Contains(lines.Text(), `"accepted"`) {
		t.Fatalf("the stream tells %q", lines.Text())
	}
	if code, took := server.stop(t); code != 0 || took > 10*time.Second {
		t.Errorf("SIGTERM: exit code %d after %s", code, took)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream was cut and did not end: %v", err)
	}
}
