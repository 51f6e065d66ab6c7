package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jmespath/go-jmespath"
)

// One secret of a class: the whole text is a file, and each field that a path leads to another.
type object struct {
	ObjectName, ObjectType, ObjectAlias string
	JmesPath                            []struct{ Path, ObjectAlias string }
}

type file struct {
	name, version string
	data          []byte
}

func (o object) read(ctx context.Context, client *secretsmanager.Client) ([]file, error) {
	if o.ObjectType != "secretsmanager" {
		return nil, fmt.Errorf("an object of type %q", o.ObjectType)
	}
	got, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &o.ObjectName})
	if err != nil {
		return nil, err
	}
	if got.SecretString == nil { // pragma: allowlist secret
		return nil, fmt.Errorf("it is bytes, and no text")
	}
	text := []byte(*got.SecretString)
	name := o.ObjectAlias
	if name == "" {
		name = strings.ReplaceAll(o.ObjectName, "/", "_")
	}
	found := []file{{name, *got.VersionId, text}}
	if len(o.JmesPath) == 0 {
		return found, nil
	}
	var fields any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("a path leads into a text that is not JSON") // the error would hold parts of it
	}
	for _, one := range o.JmesPath {
		value, err := jmespath.Search(one.Path, fields)
		if err != nil {
			return nil, fmt.Errorf("the path %s: %w", one.Path, err)
		}
		field, isText := value.(string)
		if !isText {
			return nil, fmt.Errorf("the path %s of %s leads to no text", one.Path, one.ObjectAlias)
		}
		found = append(found, file{one.ObjectAlias, *got.VersionId, []byte(field)})
	}
	return found, nil
}

// At once, for who reads it at this moment.
func (f file) write(folder string, mode os.FileMode) error {
	draft, err := os.CreateTemp(folder, ".draft")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	if _, err := draft.Write(f.data); err != nil {
		return err
	}
	if err := draft.Chmod(mode); err != nil {
		return err
	}
	return os.Rename(draft.Name(), filepath.Join(folder, f.name))
}
