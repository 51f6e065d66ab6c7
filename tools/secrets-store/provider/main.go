// A provider of the tests' own for the secrets store driver, in the place of AWS', which is no module to be had here. It takes the same parameters,
// signs in as a pod by EKS Pod Identity, and asks Secrets Manager by AWS' library: provider SOCKET. Where AWS' is, AWS_ENDPOINT_URL_SECRETS_MANAGER says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"google.golang.org/grpc"
	driver "sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
	"sigs.k8s.io/yaml"
)

const (
	agent    = "http://169.254.170.23/v1/credentials" // EKS Pod Identity's, on every node
	audience = "pods.eks.amazonaws.com"
	tokens   = "csi.storage.k8s.io/serviceAccount.tokens" // kubelet's, by audience
)

type provider struct {
	driver.UnimplementedCSIDriverProviderServer
}

func main() {
	_ = os.Remove(os.Args[1]) // of one that was killed
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	driver.RegisterCSIDriverProviderServer(server, provider{})
	log.Fatal(server.Serve(listener))
}

func (provider) Version(context.Context, *driver.VersionRequest) (*driver.VersionResponse, error) {
	return &driver.VersionResponse{Version: "v1alpha1", RuntimeName: "of-teal-s-tests", RuntimeVersion: "0.0.0"}, nil
}

// Mount writes all files of a class into the pod's folder, or none.
func (provider) Mount(ctx context.Context, asked *driver.MountRequest) (*driver.MountResponse, error) {
	var given map[string]string
	if err := json.Unmarshal([]byte(asked.Attributes), &given); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	var mode os.FileMode
	if err := json.Unmarshal([]byte(asked.Permission), &mode); err != nil {
		return nil, fmt.Errorf("permission: %w", err)
	}
	var wanted []object
	if err := yaml.Unmarshal([]byte(given["objects"]), &wanted); err != nil {
		return nil, fmt.Errorf("the class' objects: %w", err)
	}
	client, err := signIn(ctx, given)
	if err != nil {
		return nil, err
	}
	var all []file
	for _, one := range wanted {
		found, err := one.read(ctx, client)
		if err != nil {
			return nil, fmt.Errorf("%s: Failed fetching secret %s: %w", given["region"], one.ObjectName, err)
		}
		all = append(all, found...)
	}
	answer := &driver.MountResponse{}
	for _, one := range all {
		if err := one.write(asked.TargetPath, mode); err != nil {
			return nil, err
		}
		answer.ObjectVersion = append(answer.ObjectVersion, &driver.ObjectVersion{Id: one.name, Version: one.version})
	}
	return answer, nil
}

// As the pod: by the token that kubelet made for it and for this audience alone.
func signIn(ctx context.Context, given map[string]string) (*secretsmanager.Client, error) {
	if given["usePodIdentity"] != "true" || given["region"] == "" {
		return nil, errors.New("this provider knows Pod Identity and a named region alone")
	}
	var known map[string]struct{ Token string }
	if err := json.Unmarshal([]byte(given[tokens]), &known); err != nil || known[audience].Token == "" {
		return nil, fmt.Errorf("kubelet gave no token for %s: tokenRequests of the CSIDriver say for whom", audience)
	}
	whose := endpointcreds.New(agent, func(o *endpointcreds.Options) { o.AuthorizationToken = known[audience].Token })
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(given["region"]), config.WithCredentialsProvider(whose))
	if err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(settings), nil
}
