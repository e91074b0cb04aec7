// read-health says how Argo CD and Flux read an object: it prints a line of JSON for each file with an object.
//
// Flux's part is kstatus itself, in the fork that Flux is built with. Argo CD's part is what Argo CD does around its
// interpreter of Lua (util/lua/lua.go and gitops-engine/pkg/health/health.go of Argo CD 3.5): an object that is being
// deleted is not given to a script, a script has no libraries but the base, tables and a part of os, and one second.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The key of a script in argocd-cm, followed by the group and the kind.
const prefix = "resource.customizations.health."

// health is what Argo CD or Flux shows of an object.
type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// read is what both show of the object of a file.
type read struct {
	Object string `json:"object"`
	ArgoCD health `json:"argoCD"`
	Flux   health `json:"flux"`
}

func main() {
	if len(os.Args) < 3 {
		fail("usage: read-health ARGOCD-CM.YAML OBJECT.JSON...")
	}
	scripts, err := scriptsOf(os.Args[1])
	if err != nil {
		fail("%s: %v", os.Args[1], err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[2:] {
		found, err := readObject(path, scripts)
		if err != nil {
			fail("%s: %v", path, err)
		}
		if err := out.Encode(found); err != nil {
			fail("%v", err)
		}
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "read-health: "+format+"\n", values...)
	os.Exit(1)
}

// scriptsOf returns the scripts of a ConfigMap by group and kind, such as keyturn.dev_AwsConfig.
func scriptsOf(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return nil, err
	}
	scripts := map[string]string{}
	for key, script := range configMap.Data {
		if kind, isScript := strings.CutPrefix(key, prefix); isScript {
			scripts[kind] = script
		}
	}
	return scripts, nil
}

func readObject(path string, scripts map[string]string) (read, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return read{}, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(text); err != nil {
		return read{}, err
	}
	argoCD, err := byArgoCD(object, scripts)
	if err != nil {
		return read{}, fmt.Errorf("the script: %w", err)
	}
	flux, err := status.Compute(object)
	if err != nil {
		return read{}, fmt.Errorf("kstatus: %w", err)
	}
	name := strings.TrimSuffix(filepath.Base(path), ".json")
	return read{Object: name, ArgoCD: argoCD, Flux: health{flux.Status.String(), flux.Message}}, nil
}

func byArgoCD(object *unstructured.Unstructured, scripts map[string]string) (health, error) {
	if object.GetDeletionTimestamp() != nil {
		return health{"Progressing", "Pending deletion"}, nil
	}
	kind := object.GroupVersionKind()
	script, isThere := scripts[kind.Group+"_"+kind.Kind]
	if !isThere {
		return health{}, fmt.Errorf("there is none for %s", kind.GroupKind())
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}
	for _, library := range libraries {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return health{}, err
		}
	}
	inTime, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(inTime)
	state.SetGlobal("obj", inLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	returned, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return health{}, fmt.Errorf("it returned %s and no table", state.Get(-1).Type())
	}
	shown := health{lua.LVAsString(returned.RawGetString("status")), lua.LVAsString(returned.RawGetString("message"))}
	switch shown.Status {
	case "Healthy", "Progressing", "Degraded", "Suspended":
		return shown, nil
	default:
		return health{}, fmt.Errorf("it returned the status %q", shown.Status)
	}
}

// inLua is a value of JSON as Lua has it. Whole numbers become numbers, as in Argo CD.
func inLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(inLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, inLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
