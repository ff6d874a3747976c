package render_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/sync/render"
)

func drawChange(t *rapid.T) change {
	c := drawCommit(t)
	x := change{before: c, after: c.clone()}
	if rapid.Bool().Draw(t, "inside") {
		i := rapid.IntRange(0, len(c.config)-1).Draw(t, "config")
		object := x.after.config[i]
		x.what = drawEdit(t, object)
		x.counts = pinnedFor(c, object) && slices.ContainsFunc(c.readings, func(r reading) bool {
			return r.kind == object["kind"] && r.name == object["metadata"].(m)["name"]
		})
		x.what += fmt.Sprintf(" of %s %s", object["kind"], object["metadata"].(m)["name"])
		return x
	}
	x.what = x.after.edit(t)
	return x
}

// drawCommit draws a DaemonSet that reads up to eight times what is declared, or what
// is not.
func drawCommit(t *rapid.T) commit {
	c := commit{daemonSet: m{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": drawMetadata(t, "agent"),
		"spec": m{"selector": m{"matchLabels": m{"app": "agent"}}, "template": m{"metadata": m{"labels": m{"app": "agent"}}, "spec": m{}}},
	}}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		for i := range rapid.IntRange(1, 3).Draw(t, "objects") {
			c.config = append(c.config, drawConfig(t, kind, fmt.Sprint("config-", i)))
		}
	}
	for range rapid.IntRange(0, 8).Draw(t, "readings") {
		c.readings = append(c.readings, reading{
			way:      rapid.SampledFrom(ways()).Draw(t, "way"),
			kind:     rapid.SampledFrom([]string{"ConfigMap", "Secret"}).Draw(t, "kind"),
			name:     fmt.Sprint("config-", rapid.IntRange(0, 3).Draw(t, "name")), // the last one is never declared
			optional: rapid.Bool().Draw(t, "optional"),
		})
	}
	for range len(c.config) + 1 {
		c.files = append(c.files, rapid.IntRange(0, 2).Draw(t, "file"))
	}
	return c
}

func drawMetadata(t *rapid.T, name string) m {
	out := m{"name": name}
	if rapid.IntRange(0, 7).Draw(t, "unpinned") == 7 {
		out["annotations"] = m{render.PinConfigAnnotation: "false"}
	}
	return out
}

func drawConfig(t *rapid.T, kind, name string) m {
	out := m{"apiVersion": "v1", "kind": kind, "metadata": drawMetadata(t, name), "data": drawData(t, kind == "Secret")}
	switch {
	case kind == "ConfigMap" && rapid.Bool().Draw(t, "binary"):
		out["binaryData"] = m{"b": drawBytes(t)}
	case kind == "Secret" && rapid.Bool().Draw(t, "plain"):
		out["stringData"] = m{"s": rapid.String().Draw(t, "value")}
	}
	if kind == "Secret" && rapid.Bool().Draw(t, "typed") {
		out["type"] = "example.com/of-a-type"
	}
	if rapid.IntRange(0, 7).Draw(t, "immutable") == 7 {
		out["immutable"] = true
	}
	return out
}

func drawData(t *rapid.T, encoded bool) m {
	out := m{}
	for i := range rapid.IntRange(1, 3).Draw(t, "keys") {
		if encoded {
			out[fmt.Sprint("k", i)] = drawBytes(t)
		} else {
			out[fmt.Sprint("k", i)] = rapid.String().Draw(t, "value")
		}
	}
	return out
}

func drawBytes(t *rapid.T) string {
	return base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "bytes"))
}

// drawEdit changes one thing that a pod can read of a ConfigMap or Secret.
func drawEdit(t *rapid.T, object m) string {
	fields := []string{"data"}
	for _, f := range []string{"binaryData", "stringData", "type"} {
		if object[f] != nil {
			fields = append(fields, f)
		}
	}
	field := rapid.SampledFrom(fields).Draw(t, "field")
	if field == "type" {
		object["type"] = "example.com/of-another-type"
		return field
	}
	data := object[field].(m)
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	key := rapid.SampledFrom(keys).Draw(t, "key")
	value := data[key].(string)
	switch rapid.SampledFrom([]string{"value", "key", "gone", "new"}).Draw(t, "edit") {
	case "value":
		data[key] = edited(t, value, field == "binaryData" || field == "data" && object["kind"] == "Secret")
	case "key":
		delete(data, key)
		data[key+"-renamed"] = value
	case "gone":
		delete(data, key)
	default:
		data["new"] = ""
	}
	return field
}

// edited differs from the value in one place.
func edited(t *rapid.T, value string, encoded bool) string {
	if encoded {
		raw, _ := base64.StdEncoding.DecodeString(value)
		if len(raw) == 0 {
			return base64.StdEncoding.EncodeToString([]byte{0})
		}
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		return base64.StdEncoding.EncodeToString(raw)
	}
	runes := []rune(value)
	if len(runes) == 0 {
		return " "
	}
	at := rapid.IntRange(0, len(runes)-1).Draw(t, "at")
	if runes[at] == 'x' {
		runes[at] = 'y'
	} else {
		runes[at] = 'x'
	}
	return string(runes)
}

// edit changes what no pod can notice.
func (c *commit) edit(t *rapid.T) string {
	metadata := c.daemonSet["metadata"].(m)
	what := rapid.SampledFrom([]string{"label", "annotation", "minReadySeconds", "updateStrategy", "label of config", "annotation of config", "another object", "files"}).Draw(t, "outside")
	switch what {
	case "label":
		metadata["labels"] = m{"a": "b"}
	case "annotation":
		annotations, _ := metadata["annotations"].(m)
		metadata["annotations"] = with(annotations, "a", "b")
	case "minReadySeconds":
		c.daemonSet["spec"].(m)["minReadySeconds"] = 600
	case "updateStrategy":
		c.daemonSet["spec"].(m)["updateStrategy"] = m{"type": "RollingUpdate"}
	case "label of config", "annotation of config":
		field := map[string]string{"label of config": "labels", "annotation of config": "annotations"}[what]
		for _, o := range c.config {
			old, _ := o["metadata"].(m)[field].(m)
			o["metadata"].(m)[field] = with(old, "a", "b")
		}
	case "another object":
		c.config, c.files = append(c.config, drawConfig(t, "ConfigMap", "unread")), append(c.files, 0)
	default:
		c.files = rapid.Permutation(c.files).Draw(t, "files")
		for i := range c.files {
			c.files[i] = (c.files[i] + 1) % 4
		}
	}
	return what
}

func with(in m, key, value string) m {
	out := m{key: value}
	for k, v := range in {
		out[k] = v
	}
	return out
}

func (c commit) clone() commit {
	out := commit{readings: slices.Clone(c.readings), files: slices.Clone(c.files)}
	text, _ := json.Marshal([]any{c.daemonSet, c.config})
	all := []any{&out.daemonSet, &out.config}
	_ = json.Unmarshal(text, &all)
	return out
}
