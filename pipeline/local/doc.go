// Package local runs the two services that Millrace needs, Kafka and ClickHouse, without installing
// them. `millrace local`, `millrace demo` and tests use it.
//
//	                       this process                          child process
//	clients ──▶ Kafka ── kfake, records under Dir
//	clients ──▶ ClickHouse ─▶ relay ─▶ 127.0.0.1:private ─▶ the engine, tables under Dir
//	                 │                                        ▲
//	                 └── supervises, holds stdin and fd 3 ────┘
//
// Kafka is franz-go's kfake, in this process. ClickHouse is the real engine: a shared library that is
// fetched once from the npm registry ([FindLibrary]) and loaded by a child process ([ChildMain]). It
// runs in a child because it may abort, and must not end the pipeline with it. Unlike a real server,
// it aborts when a native client is killed or refused. So [ClickHouse] owns the public ports and
// keeps such clients away from the engine (relay.go, hello.go). It starts the child again when it
// dies all the same, and never leaves a child behind.
//
// Everything listens on loopback only, with one broker and one server. It is for development,
// demonstrations and tests on one machine. ClickHouse has a password (password.go), since its
// queries reach files, and its HTTP port refuses what a web page sends (httprelay.go). The engine's
// own ports have the same password. Where the kernel offers Landlock, the child reaches nothing but
// its folder, the engine and what describes the machine (confine_linux.go); elsewhere
// [ClickHouse.Run] warns. Kafka has no password, and bounds what its clients take (frames.go).
package local
