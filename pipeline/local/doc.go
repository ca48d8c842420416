// Package local runs the two services Millrace stands on without installing
// either: a Kafka and a ClickHouse for `millrace local`, `millrace demo` and
// tests.
//
//	                       this process                          child process
//	clients ──▶ Kafka ── kfake, records under Dir
//	clients ──▶ ClickHouse ─▶ relay ─▶ 127.0.0.1:private ─▶ the engine, tables under Dir
//	                 │                                        ▲
//	                 └── supervises, holds stdin and fd 3 ────┘
//
// Kafka is franz-go's kfake, in this process. ClickHouse is the real engine, a
// shared library fetched once from the npm registry ([FindLibrary]) and loaded
// by a child process ([ChildMain]), since it may abort and must not take the
// pipeline with it: unlike a server, it does so when a native client is killed
// or refused. So [ClickHouse] owns the public ports and keeps such clients away
// from it (relay.go, hello.go), restarts the child when it dies all the same,
// and never leaves one behind.
//
// Everything listens on loopback only. It is for one machine's development,
// demonstrations and tests: one broker, one server, no passwords.
package local
