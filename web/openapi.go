package web

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"dmalloc/message"
)

type object = map[string]any

// describeAPI writes the OpenAPI 3.1 description of the routes. Shapes of answers come from the Go types
// themselves, so the description cannot fall behind them.
func describeAPI(routes []route) ([]byte, error) {
	paths := map[string]object{}
	for i := range routes {
		rt := &routes[i]
		if paths[rt.path] == nil {
			paths[rt.path] = object{}
		}
		paths[rt.path][strings.ToLower(rt.method)] = operation(rt)
	}
	text := object{"type": "string"}
	codes := []string{unauthorized, "not_found", "method_not_allowed", "too_large", "length_required"}
	for _, c := range message.Codes()[1:] {
		codes = append(codes, c.String())
	}
	b, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{"title": "dmalloc", "version": "1",
			"description": "A heap that a whole cluster shares. Any node serves any request."},
		"paths":    paths,
		"security": []object{{}, {"bearer": []string{}}}, // the empty one: nodes may have no tokens
		"components": object{"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}}, "schemas": object{"Error": object{
			"type": "object", "required": []string{"error"},
			"properties": object{"error": object{
				"type": "object", "required": []string{"code", "message"},
				"properties": object{"code": object{"type": "string", "enum": codes}, "message": text},
			}},
		}}},
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode the description: %w", err)
	}
	return append(b, '\n'), nil
}

// operation describes one route.
func operation(rt *route) object {
	op := object{"operationId": rt.name, "summary": rt.about, "responses": responses(rt), "parameters": parameters(rt)}
	switch {
	case rt.bytes:
		op["requestBody"] = object{"required": true, "content": object{"application/octet-stream": object{}}}
	case rt.body != nil:
		properties, required := object{}, []string{}
		for _, f := range rt.body {
			properties[f.name] = f.schema()
			if f.must {
				required = append(required, f.name)
			}
		}
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": object{
			"type": "object", "properties": properties, "required": required, "additionalProperties": false}}}}
	}
	return op
}

func (f *field) schema() object {
	shape := maps.Clone(kinds[f.kind].schema)
	shape["description"] = f.about
	return shape
}

func parameters(rt *route) []object {
	all := []object{}
	for _, s := range rt.segments {
		switch s {
		case "{addr}":
			all = append(all, object{"name": "addr", "in": "path", "required": true,
				"schema": object{"type": "string"}, "description": "an address, in hexadecimal with 0x or in decimal"})
		case "{id}":
			all = append(all, object{"name": "id", "in": "path", "required": true,
				"schema": object{"type": "integer", "minimum": 0}, "description": "a node"})
		case "{name}":
			all = append(all, object{"name": "name", "in": "path", "required": true,
				"schema": object{"type": "string", "minLength": 1, "maxLength": message.MaxJobName}, "description": "a module of jobs"})
		}
	}
	for _, p := range append(slices.Clone(rt.query), param{"timeout", "how long it may take, as 2s or 500ms; at most " + rt.longest().String()}) {
		all = append(all, object{"name": p.name, "in": "query", "schema": object{"type": "string"}, "description": p.about})
	}
	if rt.keyed {
		all = append(all, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "minLength": 1, "maxLength": maxKey},
			"description": "a random word; repeated with the same one, the request is done once"})
	}
	return all
}

// responses describes success, each refusal that is the route's own, and the others together.
func responses(rt *route) object {
	success := object{"description": http.StatusText(rt.status)}
	switch {
	case rt.answer != nil:
		success["content"] = object{"application/json": object{"schema": schema(reflect.TypeOf(rt.answer))}}
	case rt.kind != "":
		success["content"] = object{rt.kind: object{}}
	}
	failed := object{"application/json": object{"schema": object{"$ref": "#/components/schemas/Error"}}}
	words := map[int][]string{}
	add := func(status int, word string) { words[status] = append(words[status], word) }
	for _, c := range append([]message.Code{message.InvalidArgument, message.Forbidden}, rt.codes...) {
		add(c.HTTPStatus(), c.String())
	}
	if rt.bytes || rt.body != nil {
		add(http.StatusRequestEntityTooLarge, "too_large")
		add(http.StatusRequestTimeout, message.Timeout.String())
	}
	if rt.bytes {
		add(http.StatusLengthRequired, "length_required")
	}
	add(message.Unavailable.HTTPStatus(), message.Unavailable.String())
	if !rt.always {
		add(message.Busy.HTTPStatus(), message.Busy.String())
		add(message.Timeout.HTTPStatus(), message.Timeout.String())
	}
	out := object{fmt.Sprint(rt.status): success, "default": object{"description": "refused or failed", "content": failed}}
	for _, status := range slices.Sorted(maps.Keys(words)) {
		out[fmt.Sprint(status)] = object{"description": strings.Join(words[status], ", "), "content": failed}
	}
	return out
}

var (
	tagShape = object{"type": "object", "required": []string{"ts", "writer", "op"}, "properties": object{
		"ts": object{"type": "integer", "minimum": 0}, "op": object{"type": "integer", "minimum": 0}, "writer": object{"type": "string", "pattern": "^[0-9a-f]{32}$"}}}
	// special are the types that encoding/json writes in a way of their own.
	special = map[reflect.Type]object{
		reflect.TypeFor[message.Tag]():     tagShape,
		reflect.TypeFor[json.RawMessage](): {"description": "any JSON value"},
		reflect.TypeFor[[]byte]():          {"type": "string", "contentEncoding": "base64"},
	}
)

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

// schema describes how encoding/json writes a type of this package's answers.
func schema(t reflect.Type) object {
	if shape, ok := special[t]; ok {
		return shape
	}
	if t.Implements(textMarshaler) {
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{schema(t.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return object{"type": "array", "items": schema(t.Elem())}
	case reflect.Struct:
		properties, required := object{}, []string{}
		gather(t, properties, &required)
		return object{"type": "object", "properties": properties, "required": required}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schema(t.Elem())}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	}
	return object{} // anything; a test sees to it that no answer has such a part
}

// gather lists the properties of a struct, those of embedded ones too.
func gather(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			gather(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		switch {
		case strings.Contains(options, "string"):
			properties[name] = object{"type": "string", "pattern": "^[0-9]+$"}
		case strings.Contains(options, "omitempty") && f.Type.Kind() == reflect.Pointer:
			properties[name] = schema(f.Type.Elem())
		default:
			properties[name] = schema(f.Type)
		}
		if !strings.Contains(options, "omitempty") {
			*required = append(*required, name)
		}
	}
}
