// Package web has the templates, styles and scripts of the pages. There is no build step: what is here is what is served.
package web
