package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/budget"
	"github.com/millrace/millrace/pipeline/export"
)

// Names of the security schemes in the OpenAPI document.
const (
	bearerScheme   = "bearer"
	insightsScheme = "auth"
)

// requireScope is the Security of an operation that needs a scope.
func requireScope(scope string) []map[string][]string {
	return []map[string][]string{{bearerScheme: {scope}}}
}

// scopeOf returns the scope that an operation needs, "" for none.
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

// admit lets callers pass who have the scope of the operation, and puts the caller into the
// context.
func (a *API) admit(ctx huma.Context, next func(huma.Context)) {
	scope := scopeOf(ctx.Operation())
	if scope == "" {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if signed, ok := signedFile(r); ok && ctx.Operation().OperationID == fileOperation {
		if err := a.sign.check(r.Context(), r, signed); err != nil {
			p := a.toProblem(ctx.Context(), err)
			a.refuse(r, nil, ctx.Operation(), p.Status)
			p.write(w)
			return
		}
		a.enter(ctx, &auth.Caller{Workspace: signed.WorkspaceID, Scopes: []string{scope},
			Address: auth.Address(r)}, next)
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
		a.refuse(r, nil, ctx.Operation(), p.Status)
		p.write(w)
		return
	}
	if !caller.Has(scope) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="millrace", error="insufficient_scope", scope="`+scope+`"`)
		p := problem(http.StatusForbidden, "the token does not have the scope "+scope)
		a.refuse(r, caller, ctx.Operation(), p.Status)
		p.write(w)
		return
	}
	a.enter(ctx, caller, next)
}

// enter lets a caller pass whose workspace has a request left, and a place among those of the
// operation's kind.
func (a *API) enter(ctx huma.Context, caller *auth.Caller, next func(huma.Context)) {
	err := signedIn(ctx.Context(), caller.Workspace)
	if err == nil {
		var leave func()
		if leave, err = a.limits.of[ctx.Operation().OperationID].Enter(ctx.Context(), caller.Workspace); err == nil {
			defer leave()
			if leave, err = a.holdBody(ctx, caller.Workspace); err == nil {
				defer leave()
				next(huma.WithContext(ctx, auth.With(ctx.Context(), caller)))
				return
			}
		}
	}
	_, w := humago.Unwrap(ctx)
	a.toProblem(ctx.Context(), err).write(w)
}

// A body of more than smallBody bytes that is read as a whole takes bodyCopies times its bytes from the
// memory budget before it is read: the buffer that doubles, the request that is filed, and what is
// decoded of it.
const (
	smallBody  = 64 << 10
	bodyCopies = 8
)

// holdBody takes the bytes of a body that is read as a whole from the memory budget.
func (a *API) holdBody(ctx huma.Context, workspace string) (leave func(), err error) {
	r, _ := humago.Unwrap(ctx)
	size := ctx.Operation().MaxBodyBytes
	if r.ContentLength >= 0 { // otherwise nobody knows
		size = min(size, r.ContentLength)
	}
	if size <= smallBody || ctx.Operation().RequestBody == nil {
		return func() {}, nil
	}
	if leave, err = a.limits.bodies.Enter(ctx.Context(), workspace); err != nil {
		return nil, err
	}
	if err := budget.Hold(ctx.Context(), bodyCopies*size); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// exportID returns the identity of an export in the caller's workspace.
func exportID(ctx context.Context, id string) export.ID {
	return export.ID{WorkspaceID: auth.From(ctx).Workspace, ExportID: id}
}
