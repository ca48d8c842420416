package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/export"
)

// Names of the security schemes in the OpenAPI document.
const (
	bearerScheme   = "bearer"
	insightsScheme = "auth"
)

// needs is what an operation asks of its caller.
func needs(scope string) []map[string][]string { return []map[string][]string{{bearerScheme: {scope}}} }

// scopeOf is the scope that an operation needs, "" for none.
func scopeOf(op *huma.Operation) string {
	for _, alternatives := range op.Security {
		for _, scopes := range alternatives {
			for _, scope := range scopes {
				return scope
			}
		}
	}
	return ""
}

// admit lets those in who may do what the operation does, and puts them into its context.
func (a *API) admit(ctx huma.Context, next func(huma.Context)) {
	scope := scopeOf(ctx.Operation())
	if scope == "" {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if id, key, ok := signedFile(r); ok && ctx.Operation().OperationID == fileOperation {
		if err := a.sign.check(r.Context(), r, id, key); err != nil {
			a.explained(ctx.Context(), err).write(w)
			return
		}
		next(huma.WithContext(ctx, auth.With(ctx.Context(), &auth.Caller{Workspace: id.WorkspaceID, Scopes: []string{scope}})))
		return
	}
	caller, err := a.auth.Caller(r)
	if err != nil {
		p := problem(http.StatusUnauthorized, err.Error())
		var refusal *auth.Refusal
		if errors.As(err, &refusal) {
			p = problem(refusal.Status, refusal.Detail)
			p.challenge = refusal.Challenge()
		}
		p.write(w)
		return
	}
	if !caller.Has(scope) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace", error="insufficient_scope", scope="`+scope+`"`)
		p := problem(http.StatusForbidden, "the token does not have the scope "+scope)
		p.write(w)
		return
	}
	next(huma.WithContext(ctx, auth.With(ctx.Context(), caller)))
}

// explained is explain for those who write the problem themselves.
func (a *API) explained(ctx context.Context, err error) *Problem {
	var p *Problem
	errors.As(a.explain(ctx, err), &p)
	return p
}

// exportID is the identity of an export in the caller's workspace.
func exportID(ctx context.Context, id string) export.ID {
	return export.ID{WorkspaceID: auth.From(ctx).Workspace, ExportID: id}
}
