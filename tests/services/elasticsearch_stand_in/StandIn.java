package teal.tests;

import java.io.IOException;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.apache.lucene.util.Version;
import org.elasticsearch.Build;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.ActionRequest;
import org.elasticsearch.action.ActionRequestValidationException;
import org.elasticsearch.action.ActionResponse;
import org.elasticsearch.action.ActionType;
import org.elasticsearch.action.support.ActionFilters;
import org.elasticsearch.action.support.master.AcknowledgedRequest;
import org.elasticsearch.action.support.master.AcknowledgedResponse;
import org.elasticsearch.action.support.master.TransportMasterNodeAction;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.AckedClusterStateUpdateTask;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.block.ClusterBlockException;
import org.elasticsearch.cluster.block.ClusterBlockLevel;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.metadata.NodesShutdownMetadata;
import org.elasticsearch.cluster.metadata.SingleNodeShutdownMetadata;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.Strings;
import org.elasticsearch.injection.guice.Inject;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.io.stream.StreamInput;
import org.elasticsearch.common.io.stream.StreamOutput;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.reservedstate.ReservedClusterStateHandler;
import org.elasticsearch.reservedstate.ReservedClusterStateHandlerProvider;
import org.elasticsearch.reservedstate.TransformState;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.RestUtils;
import org.elasticsearch.rest.action.RestToXContentListener;
import org.elasticsearch.tasks.Task;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.TransportService;
import org.elasticsearch.xcontent.XContentBuilder;
import org.elasticsearch.xcontent.XContentParser;

/**
 * What ECK's operator asks of Elasticsearch, and Maven's zip has no module for: `GET /`, and restarts of nodes announced at `_nodes/shutdown`.
 * A stand-in of these tests, in no way Elastic's own. What it answers is true: who this node is, and which restarts are announced. They are
 * kept where Elasticsearch keeps them, in the cluster's state, so that its own server delays the shards of a node that was announced. A restart
 * needs no shard to move, so it is COMPLETE at once. Nodes that leave for good need that: it refuses them. Sections of the operator's file of
 * settings that are for missing modules are taken as long as they are empty: Elasticsearch is never ready while it cannot read that file.
 */
public final class StandIn extends Plugin implements ActionPlugin {
    private static final ActionType<AcknowledgedResponse> CHANGE = new ActionType<>("cluster:admin/shutdown/stand_in");
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<ActionHandler<? extends ActionRequest, ? extends ActionResponse>> getActions() {
        return List.of(new ActionHandler<>(CHANGE, ChangeAction.class));
    }

    @Override
    public Collection<RestHandler> getRestHandlers(
        Settings settings, NamedWriteableRegistry writeables, RestController controller, ClusterSettings clusterSettings,
        IndexScopedSettings indexSettings, SettingsFilter filter, IndexNameExpressionResolver resolver, Supplier<DiscoveryNodes> nodes,
        Predicate<NodeFeature> features
    ) {
        return List.of(new Root(cluster), new Shutdown(cluster));
    }

    private static NodesShutdownMetadata announced(ClusterState state) {
        NodesShutdownMetadata found = state.metadata().custom(NodesShutdownMetadata.TYPE);
        return found == null ? NodesShutdownMetadata.EMPTY : found;
    }

    private static final class Root extends BaseRestHandler {
        private final ClusterService cluster;

        Root(ClusterService cluster) {
            this.cluster = cluster;
        }

        @Override
        public String getName() {
            return "stand_in_root";
        }

        @Override
        public List<Route> routes() {
            return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
            return channel -> {
                ClusterState state = cluster.state();
                Build build = Build.current();
                XContentBuilder answer = channel.newBuilder().startObject();
                answer.field("name", cluster.getNodeName());
                answer.field("cluster_name", state.getClusterName().value());
                answer.field("cluster_uuid", state.metadata().clusterUUID());
                answer.startObject("version").field("number", build.qualifiedVersion()).field("build_flavor", build.flavor());
                answer.field("build_type", build.type().displayName()).field("build_hash", build.hash()).field("build_date", build.date());
                answer.field("build_snapshot", build.isSnapshot()).field("lucene_version", Version.LATEST.toString());
                answer.field("minimum_wire_compatibility_version", build.minWireCompatVersion());
                answer.field("minimum_index_compatibility_version", build.minIndexCompatVersion()).endObject();
                answer.field("tagline", "You Know, for Search").endObject();
                channel.sendResponse(new RestResponse(RestStatus.OK, answer));
            };
        }
    }

    private static final class Shutdown extends BaseRestHandler {
        private final ClusterService cluster;

        Shutdown(ClusterService cluster) {
            this.cluster = cluster;
        }

        @Override
        public String getName() {
            return "stand_in_shutdown";
        }

        @Override
        public List<Route> routes() {
            String one = "/_nodes/{nodeId}/shutdown";
            return List.of(
                new Route(RestRequest.Method.GET, "/_nodes/shutdown"), new Route(RestRequest.Method.GET, one),
                new Route(RestRequest.Method.PUT, one), new Route(RestRequest.Method.DELETE, one)
            );
        }

        @Override
        protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
            String node = request.param("nodeId");
            TimeValue master = RestUtils.getMasterNodeTimeout(request);
            TimeValue ack = RestUtils.getAckTimeout(request);
            if (request.method() == RestRequest.Method.GET) {
                return channel -> channel.sendResponse(new RestResponse(RestStatus.OK, list(channel.newBuilder(), node)));
            }
            Change change;
            if (request.method() == RestRequest.Method.PUT) {
                Map<String, Object> body = request.contentParser().map();
                if (!"restart".equalsIgnoreCase(String.valueOf(body.get("type")))) {
                    throw new IllegalArgumentException("this stand-in of the tests announces restarts alone, not [" + body.get("type") + "]");
                }
                change = new Change(master, ack, node, String.valueOf(body.get("reason")), (String) body.get("allocation_delay"));
            } else {
                change = new Change(master, ack, node, null, null);
            }
            return channel -> client.execute(CHANGE, change, new RestToXContentListener<>(channel));
        }

        private XContentBuilder list(XContentBuilder answer, String node) throws IOException {
            answer.startObject().startArray("nodes");
            for (SingleNodeShutdownMetadata one : announced(cluster.state()).getAll().values()) {
                if (node != null && List.of(Strings.splitStringByCommaToArray(node)).contains(one.getNodeId()) == false) {
                    continue;
                }
                answer.startObject().field("node_id", one.getNodeId()).field("type", one.getType().toString());
                answer.field("reason", one.getReason()).field("shutdown_startedmillis", one.getStartedAtMillis()).field("status", "COMPLETE");
                for (String part : List.of("shard_migration", "persistent_tasks", "plugins")) {
                    answer.startObject(part).field("status", "COMPLETE").endObject();
                }
                answer.endObject();
            }
            return answer.endArray().endObject();
        }
    }

    /** Announces the restart of a node; without a reason, takes that back. */
    public static final class Change extends AcknowledgedRequest<Change> {
        private final String node;
        private final String reason;
        private final String delay;

        Change(TimeValue master, TimeValue ack, String node, String reason, String delay) {
            super(master, ack);
            this.node = node;
            this.reason = reason;
            this.delay = delay;
        }

        Change(StreamInput in) throws IOException {
            super(in);
            node = in.readString();
            reason = in.readOptionalString();
            delay = in.readOptionalString();
        }

        @Override
        public void writeTo(StreamOutput out) throws IOException {
            super.writeTo(out);
            out.writeString(node);
            out.writeOptionalString(reason);
            out.writeOptionalString(delay);
        }

        @Override
        public ActionRequestValidationException validate() {
            return null;
        }

        private NodesShutdownMetadata applied(ClusterState state) {
            NodesShutdownMetadata before = announced(state);
            if (reason == null) {
                Map<String, SingleNodeShutdownMetadata> left = new HashMap<>(before.getAll());
                left.remove(node);
                return new NodesShutdownMetadata(left);
            }
            SingleNodeShutdownMetadata.Builder one = SingleNodeShutdownMetadata.builder().setNodeId(node).setReason(reason);
            if (state.nodes().nodeExists(node)) {
                one.setNodeEphemeralId(state.nodes().get(node).getEphemeralId()).setNodeSeen(true);
            }
            if (delay != null) {
                one.setAllocationDelay(TimeValue.parseTimeValue(delay, "allocation_delay"));
            }
            one.setType(SingleNodeShutdownMetadata.Type.RESTART).setStartedAtMillis(System.currentTimeMillis());
            return before.putSingleNodeMetadata(one.build());
        }
    }

    /** Of the file of settings that the operator mounts, which is empty unless an Enterprise licence pays for more. */
    public static final class EmptyState implements ReservedClusterStateHandlerProvider {
        @Override
        public Collection<ReservedClusterStateHandler<?>> handlers() {
            return List.of(new Empty("slm"), new Empty("ilm"), new Empty("ingest_pipelines"));
        }
    }

    /** A section of that file for a module that is not here: it may be empty, and nothing else. */
    private record Empty(String name) implements ReservedClusterStateHandler<Map<String, Object>> {
        @Override
        public TransformState transform(Object wanted, TransformState before) {
            if (((Map<?, ?>) wanted).isEmpty() == false) {
                throw new IllegalArgumentException("this stand-in of the tests takes no [" + name + "]");
            }
            return new TransformState(before.state(), Set.of());
        }

        @Override
        public ClusterState remove(TransformState before) {
            return before.state();
        }

        @Override
        public Map<String, Object> fromXContent(XContentParser parser) throws IOException {
            return parser.map();
        }
    }

    public static final class ChangeAction extends TransportMasterNodeAction<Change, AcknowledgedResponse> {
        @Inject
        public ChangeAction(TransportService transport, ClusterService cluster, ThreadPool threads, ActionFilters filters) {
            super(
                CHANGE.name(), transport, cluster, threads, filters, Change::new, AcknowledgedResponse::readFrom,
                threads.executor(ThreadPool.Names.MANAGEMENT)
            );
        }

        @Override
        @SuppressWarnings("deprecation")
        protected void masterOperation(Task task, Change change, ClusterState state, ActionListener<AcknowledgedResponse> listener) {
            clusterService.submitUnbatchedStateUpdateTask(CHANGE.name(), new AckedClusterStateUpdateTask(change, listener) {
                @Override
                public ClusterState execute(ClusterState before) {
                    Metadata.Builder after = Metadata.builder(before.metadata());
                    return ClusterState.builder(before).metadata(after.putCustom(NodesShutdownMetadata.TYPE, change.applied(before))).build();
                }
            });
        }

        @Override
        protected ClusterBlockException checkBlock(Change change, ClusterState state) {
            return state.blocks().globalBlockedException(ClusterBlockLevel.METADATA_WRITE);
        }
    }
}
