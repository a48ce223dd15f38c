package house

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
)

// schema is as much of JSON Schema (draft 2020-12) as docs/record.schema.json
// uses. A keyword that is not here is an error, so that none goes unchecked.
type schema struct {
	Never bool `json:"-"` // the schema "false"

	Schema      string             `json:"$schema"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Defs        map[string]*schema `json:"$defs"`
	Ref         string             `json:"$ref"`

	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Pattern    string             `json:"pattern"`
	Const      any                `json:"const"`
	Enum       []string           `json:"enum"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
	Items      *schema            `json:"items"`
	MinItems   int                `json:"minItems"`
	MaxItems   int                `json:"maxItems"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	More       *schema            `json:"additionalProperties"`
	OneOf      []*schema          `json:"oneOf"`
	AnyOf      []*schema          `json:"anyOf"`
}

// UnmarshalJSON reads a schema, or the word false.
func (s *schema) UnmarshalJSON(b []byte) error {
	if string(b) == "false" {
		s.Never = true
		return nil
	}
	type plain schema // without this method
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	return dec.Decode((*plain)(s))
}

func recordSchema(t testing.TB) *schema {
	t.Helper()
	s := new(schema)
	if err := json.Unmarshal([]byte(readText(t, "docs/record.schema.json")), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// deref follows a reference into the definitions of top.
func (s *schema) deref(top *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok && top.Defs[name] != nil {
		return top.Defs[name]
	}
	return s
}

// validate says what is wrong with a value.
func (s *schema) validate(top *schema, at string, v any) error {
	s = s.deref(top)
	if s.Never {
		return fmt.Errorf("%s: may not be there", at)
	}
	if s.Const != nil && !reflect.DeepEqual(s.Const, v) {
		return fmt.Errorf("%s: is not %v", at, s.Const)
	}
	if text, ok := v.(string); s.Enum != nil && (!ok || !slices.Contains(s.Enum, text)) {
		return fmt.Errorf("%s: %v is none of %q", at, v, s.Enum)
	}
	if err := s.validateType(top, at, v); err != nil {
		return err
	}
	fit := func(all []*schema) (n int) {
		for _, one := range all {
			if one.validate(top, at, v) == nil {
				n++
			}
		}
		return n
	}
	if s.OneOf != nil && fit(s.OneOf) != 1 || s.AnyOf != nil && fit(s.AnyOf) == 0 {
		return fmt.Errorf("%s: its parts do not fit each other", at)
	}
	return nil
}

func (s *schema) validateType(top *schema, at string, v any) error {
	typed := map[string]bool{"": true}
	switch v := v.(type) {
	case map[string]any:
		typed["object"] = true
		if err := s.validateObject(top, at, v); err != nil {
			return err
		}
	case []any:
		typed["array"] = true
		if len(v) < s.MinItems || s.MaxItems > 0 && len(v) > s.MaxItems {
			return fmt.Errorf("%s: has %d items", at, len(v))
		}
		for i, e := range v {
			if s.Items != nil {
				if err := s.Items.validate(top, fmt.Sprintf("%s[%d]", at, i), e); err != nil {
					return err
				}
			}
		}
	case string:
		typed["string"] = true
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Errorf("%s: %q does not fit %s", at, v, s.Pattern)
		}
		if _, err := time.Parse(time.RFC3339, v); s.Format == "date-time" && err != nil {
			return fmt.Errorf("%s: %q is no time", at, v)
		}
	case float64:
		typed["number"], typed["integer"] = true, v == float64(int64(v))
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			return fmt.Errorf("%s: %v is out of bounds", at, v)
		}
	case bool:
		typed["boolean"] = true
	}
	if !typed[s.Type] {
		return fmt.Errorf("%s: %v is no %s", at, v, s.Type)
	}
	return nil
}

func (s *schema) validateObject(top *schema, at string, v map[string]any) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s.%s: is missing", at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		p := s.Properties[name]
		if p == nil {
			p = s.More
		}
		if p != nil {
			if err := p.validate(top, at+"."+name, v[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// typeFaults compares a Go type with its schema: every field on both sides,
// optional on both or on none.
func typeFaults(top, s *schema, at string, typ reflect.Type) []string {
	s = s.deref(top)
	want := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Int64: "integer", reflect.Int: "integer",
		reflect.Uint32: "integer", reflect.Uint64: "integer", reflect.Float64: "number",
		reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
	}[typ.Kind()]
	switch {
	case typ.Kind() == reflect.Pointer:
		return typeFaults(top, s, at, typ.Elem())
	case typ == reflect.TypeFor[time.Time]():
		if s.Type != "string" || s.Format != "date-time" {
			return []string{at + ": is a time in Go"}
		}
		return nil
	case s.Type != want && (s.Type != "" || s.Enum == nil && s.Const == nil):
		return []string{fmt.Sprintf("%s: %s in Go, %q in the schema", at, want, s.Type)}
	}
	switch typ.Kind() {
	case reflect.Slice:
		return typeFaults(top, s.Items, at+"[]", typ.Elem())
	case reflect.Map:
		return typeFaults(top, s.More, at+"{}", typ.Elem())
	case reflect.Struct:
		return structFaults(top, s, at, typ)
	}
	return nil
}

func structFaults(top, s *schema, at string, typ reflect.Type) []string {
	var out []string
	if s.More == nil || !s.More.Never {
		out = append(out, at+": the schema lets unknown fields in")
	}
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(typ) {
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		seen[name] = true
		p := s.Properties[name]
		if p == nil {
			out = append(out, fmt.Sprintf("%s.%s: is not in the schema", at, name))
			continue
		}
		if optional := strings.HasPrefix(opts, "omit"); optional == slices.Contains(s.Required, name) {
			out = append(out, fmt.Sprintf("%s.%s: may be absent in Go: %v; in the schema: %v", at, name, optional, !optional))
		}
		out = append(out, typeFaults(top, p, at+"."+name, f.Type)...)
	}
	for name := range s.Properties {
		if !seen[name] {
			out = append(out, fmt.Sprintf("%s.%s: is not in Go", at, name))
		}
	}
	return out
}

func TestRecordSchema(t *testing.T) {
	top := recordSchema(t)
	for _, f := range typeFaults(top, top, "record", reflect.TypeFor[wire.Record]()) {
		t.Error(f)
	}
	// The comparison finds a field that is missing on either side, a wrong
	// type and a wrong "required".
	type other struct {
		V     string `json:"v"`
		Extra int    `json:"extra"`
		Gate  string `json:"gate,omitempty"`
	}
	small := &schema{Type: "object", More: &schema{Never: true}, Required: []string{"v", "gate"}, Properties: map[string]*schema{
		"v": {Type: "integer"}, "gate": {Type: "string"}, "tx": {Type: "string"},
	}}
	if got := typeFaults(small, small, "x", reflect.TypeFor[other]()); len(got) != 4 {
		t.Errorf("of four faults were found: %q", got)
	}
}

// The words that the schema allows are those of the code.
func TestRecordSchemaWords(t *testing.T) {
	top := recordSchema(t)
	var ids, results, answers []string
	for _, id := range gate.CheckIDs() {
		ids = append(ids, string(id))
	}
	for r := gate.Undetermined; r <= gate.Aborted; r++ {
		results = append(results, r.String())
	}
	for v := gate.ListNotAsked; v <= gate.ListUnavailable; v++ {
		answers = append(answers, v.String())
	}
	decision, check := top.Defs["decision"].Properties, top.Defs["check"].Properties
	for _, c := range []struct {
		what      string
		got, want []string
	}{
		{"kind", top.Properties["kind"].Enum, []string{wire.KindDecision, wire.KindPassage, wire.KindResolution, wire.KindHelp}},
		{"outcome", decision["outcome"].Enum, []string{gate.Admit.String(), gate.Refer.String(), gate.Abort.String()}},
		{"overall", decision["overall"].Enum, results},
		{"face", decision["face"].Enum, []string{
			gate.FaceUnset.String(), gate.FaceOff.String(), gate.FaceRequired.String(),
			gate.FaceNotCompared.String(), gate.FaceMatched.String(), gate.FaceMismatched.String(),
		}},
		{"id", check["id"].Enum, ids},
		{"result", check["result"].Enum, results},
		{"answer", top.Defs["list"].Properties["answer"].Enum, answers},
		{"passage", top.Defs["passage"].Properties["result"].Enum, []string{
			string(gate.PassageOpened), string(gate.PassagePassed), string(gate.PassageTimedOut), string(gate.PassageRefused), string(gate.PassageUnknown),
		}},
	} {
		slices.Sort(c.got)
		slices.Sort(c.want)
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q in the schema, %q in Go", c.what, c.got, c.want)
		}
	}
}

// validRecords checks a stream of records.
func validRecords(top *schema, stream string) (n int, err error) {
	for dec := json.NewDecoder(strings.NewReader(stream)); dec.More(); n++ {
		var v any
		if err := dec.Decode(&v); err != nil {
			return n, err
		}
		if err := top.validate(top, "record", v); err != nil {
			return n, err
		}
	}
	return n, nil
}

// What the code takes for a record, the schema does too, and the other way
// round.
func TestSampleRecords(t *testing.T) {
	top := recordSchema(t)
	head := `{"v":1,"tx":"00112233445566778899aabbccddeeff","gate":"SGN-G12","at":"2026-03-01T08:00:00Z","since_boot_ms":1,"boot_id":"b","clock_trusted":true,`
	list := `"list":{"answer":"allow","generation":1,"version":2}`
	for _, c := range []struct {
		good bool
		text string
	}{
		{true, head + `"kind":"passage","passage":{"result":"passed"}}`},
		{true, head + `"kind":"resolution","resolution":{"operator":"An","outcome":"refused","reason":"other"}}`},
		{true, head + `"kind":"help"}`},
		{true, head + `"kind":"decision","decision":{"outcome":"admit","reasons":[],"overall":"successful","policy":"p","face":"off",` + list + `}}`},
		{true, head + `"kind":"decision","decision":{"outcome":"refer","reasons":[6001],"overall":"failed","checks":[{"id":"sod","result":"failed","code":1303}],"policy":"p","face":"off",` + list + `}}`},
		{false, head + `"kind":"decision","decision":{"outcome":"refer","reasons":[],"overall":"failed","policy":"p","face":"off",` + list + `}}`},
		{false, head + `"kind":"decision","decision":{"outcome":"open","reasons":[1],"overall":"failed","policy":"p","face":"off",` + list + `}}`},
		{false, head + `"kind":"decision"}`},
		{false, head + `"kind":"help","passage":{"result":"passed"}}`},
		{false, head + `"kind":"passage","passage":{"result":"flew"}}`},
		{false, strings.Replace(head, "0011", "00XX", 1) + `"kind":"help"}`},
		{false, strings.Replace(head, `"v":1`, `"v":2`, 1) + `"kind":"help"}`},
		{false, head + `"kind":"passage","passage":{"result":"passed"},"resolution":{"operator":"An","outcome":"refused","reason":"other"}}`},
	} {
		_, err := validRecords(top, c.text)
		_, goErr := wire.DecodeRecord([]byte(c.text))
		if (err == nil) != c.good || (goErr == nil) != c.good {
			t.Errorf("%s\nschema: %v\ncode: %v", c.text, err, goErr)
		}
	}
	if _, err := validRecords(top, head+`"kind":"help","name":"somebody"}`); err == nil {
		t.Error("the schema lets an unknown field in")
	}
}
