// Package web has the templates, styles and scripts of the pages. There is no build step: the
// server serves these files.
//
//	templates/frame.html      the frame of every page: header, workspace, navigation
//	templates/parts.html      what several pages use: icons, badges, paging, code to copy
//	templates/json.html       JSON documents: as a tree, as text, as chat bubbles
//	templates/records.html    records, and what became of rows
//	templates/*.html          one file per page; each defines "main", and "head" where it has a script
//	templates/exportrow.html, charts.html, panel.html  parts that scripts fetch alone
//	static/*.css              base (tokens, elements), parts (components), pages
//	static/*.js               ES modules; app.js is on every page
//
// The content security policy of the pages is `default-src 'none'; script-src 'self'; style-src
// 'self'; img-src 'self' data:; connect-src 'self'`. So there is no inline script, style element or
// style attribute. Scripts set styles through the CSSOM.
//
// # Hooks
//
// Tests in browsers find elements by data-testid, which stays the same when looks and words change:
//
//	everywhere       workspace (its id), workspace-menu (button), workspace-choice (with value),
//	                 workspace-input, workspace-submit, sign-out, message (of an error)
//	/login           token, sign-in, login-error
//	/copilots        app-row (with data-app), action-menu (button), menu-view-history,
//	                 menu-compare, menu-exports
//	                 load-sample (on an empty page of the local stack)
//	/recipes         the same, with menu-webhook-history
//	/history         compare-versions; action-menu, menu-export-dataset, menu-exports; filter-text,
//	                 completions, search-error, filter-status,
//	                 filter-version (buttons), filter-status-<status>, filter-feedback,
//	                 filter-from, filter-to, filter-apply, filter-reset; range-<preset>, older,
//	                 show-older; charts, chart (with data-of: runs, latency, feedback, cost),
//	                 chart-numbers, total; columns (button), column-<key>, columns-save,
//	                 sort-<Time|Latency|Cost>; keys, keys-dialog, panel, panel-same, panel-open;
//	                 run-row (with data-run),
//	                 run-link, run-status, run-check, select-page; selection-bar,
//	                 selection-count, selection-clear, selection-export; page-next,
//	                 page-previous, page-newest
//	/history/export  export-form, export-name, export-purpose and export-target (each with value), export-find,
//	                 export-nodes, export-node (with value); export-take-<newest|sample|picked>,
//	                 export-limit, export-limit-of, export-sample-<size|seed|by>, export-app, export-from,
//	                 export-to, export-by, export-filter-<field>; export-format, export-compression,
//	                 export-validation, export-test, export-seed, export-option (with data-option) and in it
//	                 export-option-value; export-as (with value), export-warning (with data-code), export-change
//	                 (with value), export-refused; export-count (data-state: waiting, done, refused;
//	                 data-records), export-error (on top), export-error-<field>, export-proceed,
//	                 export-cancel; without scripts export-update, export-try
//	/compare         compare-base, compare-version, compare-apply; shared-inputs, compare-since;
//	                 version-row (with data-version), in it better, worse, same, unjudged; spread
//	                 (with data-of), compared-nodes, node-row (with data-node);
//	                 show-<worse|better|same|unjudged>, pairs-shown, pair (with data-outcome), side
//	                 (with data-run), no-pairs, export-these, export-all
//	/history/run     find-exports, run-exports, exports-in, exports-maybe, find-older; file-link,
//	                 raw; run-question, run-answer, run-error, run-feedback, node-run (with data-node), json
//	/exports         status-<all|running|succeeded|failed|cancelled>; export-row (with data-id,
//	                 data-status), exports-search, row-link, export-by, export-status, export-progress, export-percent,
//	                 export-records, export-size, row-view, row-download, row-menu and in it row-cancel, row-delete,
//	                 row-details, dropped, warnings, failure, load-with; confirm-dialog,
//	                 confirm-yes, confirm-no
//	/exports/{id}    export (with data-status), phase (with data-state), funnel-step (with data-kind, data-label),
//	                 export-rate, export-left, export-note, export-download, export-stop, export-again,
//	                 export-newer, export-delete, tab-<records|files|card|request|lineage|trail>, tab (with
//	                 data-tab); preview (with data-kind: table, chat, json), record (with data-kind: table, chat,
//	                 tree, json; data-number), record-run, turn (with data-role), shown, as-<table|chat|json>, split
//	                 (with data-split), go-from, go, find, page-first, page-previous, page-next, page-last; file
//	                 (with data-key), file-download; card; request; origin (with data-number), origin-run,
//	                 no-lineage; trail-entry
//	/docs            document, document-link, api-reference
package web

import (
	"embed"
	"io/fs"
)

//go:embed templates static
var files embed.FS

// Templates are the files of templates/.
func Templates() fs.FS { return sub("templates") }

// Static are the files of static/: styles, scripts, the icon.
func Static() fs.FS { return sub("static") }

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the name is valid
	}
	return f
}
