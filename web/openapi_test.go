package web

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// W4: the description has each route, its success and its parameters.
func TestDescriptionIsComplete(t *testing.T) {
	s, _ := newServer(t, nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Responses   map[string]any
			Parameters  []struct{ Name, In string }
			RequestBody any
		}
	}
	if err := json.Unmarshal(ask(s, "GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	operations, names := 0, map[string]bool{}
	for _, path := range doc.Paths {
		operations += len(path)
	}
	if operations != len(s.routes) {
		t.Errorf("%d operations for %d routes", operations, len(s.routes))
	}
	for _, rt := range s.routes {
		op, ok := doc.Paths[rt.path][strings.ToLower(rt.method)]
		if !ok {
			t.Errorf("%s is missing", rt.label())
			continue
		}
		if op.OperationID == "" || names[op.OperationID] || op.Summary == "" || len(op.Responses) < 2 {
			t.Errorf("%s: %+v", rt.label(), op)
		}
		names[op.OperationID] = true
		if (op.RequestBody != nil) != (rt.bytes || rt.body != nil) {
			t.Errorf("%s: body %v", rt.label(), op.RequestBody)
		}
		in := map[string]int{}
		for _, p := range op.Parameters {
			in[p.In]++
		}
		if in["path"] != strings.Count(rt.path, "{") || in["query"] != len(rt.query)+1 || (in["header"] == 1) != rt.keyed {
			t.Errorf("%s: parameters %+v", rt.label(), op.Parameters)
		}
	}
}

// No answer has a part whose shape the description leaves open.
func TestShapesAreKnown(t *testing.T) {
	var walk func(path string, v any)
	walk = func(path string, v any) {
		o, ok := v.(object)
		if ok && len(o) == 0 {
			t.Errorf("%s has no shape", path)
		}
		for name, p := range o {
			if list, ok := p.([]object); ok {
				for _, e := range list {
					walk(path+"/"+name, e)
				}
			}
			if name != "properties" || len(p.(object)) > 0 {
				walk(path+"/"+name, p)
			}
		}
	}
	for _, rt := range routes() {
		if rt.answer != nil {
			walk(rt.label(), schema(reflect.TypeOf(rt.answer)))
		}
	}
}

// conforms compares an answer with the shape that the description gives it.
func conforms(t *testing.T, rt *route, body []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Errorf("%s: %v", rt.label(), err)
		return
	}
	if problem := compare(schema(reflect.TypeOf(rt.answer)), v); problem != "" {
		t.Errorf("%s: %s in %s", rt.label(), problem, body)
	}
}

// compare knows the words of JSON Schema that schema uses, and says what does not fit.
func compare(shape object, v any) string {
	if any, ok := shape["anyOf"].([]object); ok {
		for _, s := range any {
			if compare(s, v) == "" {
				return ""
			}
		}
		return "none of anyOf"
	}
	if shape["description"] == "any JSON value" {
		return ""
	}
	switch x := v.(type) {
	case map[string]any:
		if each, ok := shape["additionalProperties"].(object); ok {
			for name, part := range x {
				if problem := compare(each, part); problem != "" {
					return name + ": " + problem
				}
			}
			return ""
		}
		properties, _ := shape["properties"].(object)
		for _, name := range shape["required"].([]string) {
			if _, ok := x[name]; !ok {
				return name + " is missing"
			}
		}
		for name, part := range x {
			s, ok := properties[name].(object)
			if !ok {
				return name + " is not described"
			}
			if problem := compare(s, part); problem != "" {
				return name + ": " + problem
			}
		}
		return ""
	case []any:
		items, ok := shape["items"].(object)
		if !ok {
			return "no array"
		}
		for _, e := range x {
			if problem := compare(items, e); problem != "" {
				return problem
			}
		}
		return ""
	}
	want := map[string]string{"string": "string", "float64": "integer", "bool": "boolean"}
	if v == nil {
		if shape["type"] != "null" {
			return "null"
		}
	} else if _, ok := v.(float64); ok && shape["type"] == "number" {
		return ""
	} else if shape["type"] != want[reflect.TypeOf(v).String()] {
		return reflect.TypeOf(v).String() + " for " + shape["type"].(string)
	}
	return ""
}
