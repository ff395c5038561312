//! What each role may do in its workspace.

use mainstay_domain::Role;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $($role:ident)|+;)+) => {
        /// One thing that a route can demand. Deny by default: a role has only
        /// the permissions listed with it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {$(
            $(#[$doc])*
            $name,
        )+}

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name, as scopes and logs spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text),+}
            }
        }

        /// Whether `role` has `permission`. Which rows it then sees is decided
        /// by the queries: the workspace's, and of conversations one's own.
        #[must_use]
        pub const fn permits(role: Role, permission: Permission) -> bool {
            match permission {
                $(Permission::$name => matches!(role, $(Role::$role)|+),)+
            }
        }
    };
}

permissions! {
    /// Ask one-shot questions.
    Execute = "ai.execute", Service | Member | Operator | Administrator;
    /// Read one's own conversations and their streams.
    ReadConversations = "conversations.read", Service | Member | Operator | Administrator;
    /// Begin, continue, rename and delete one's own conversations.
    WriteConversations = "conversations.write", Service | Member | Operator | Administrator;
    /// See the personas.
    ReadPersonas = "personas.read", Service | Member | Operator | Administrator;
    /// Write and archive personas.
    WritePersonas = "personas.write", Operator | Administrator;
    /// See and search the knowledge base.
    ReadKnowledge = "knowledge.read", Service | Member | Operator | Administrator;
    /// Add to and change the knowledge base.
    WriteKnowledge = "knowledge.write", Operator | Administrator;
    /// See one's own agents.
    ReadAgents = "agents.read", Service | Member | Operator | Administrator;
    /// Make, use and end one's own agents.
    WriteAgents = "agents.write", Service | Member | Operator | Administrator;
    /// See and change one's own account and sessions.
    ManageSelf = "users.self", Member | Operator | Administrator;
    /// See the workspace's settings and members.
    ReadWorkspace = "workspace.read", Service | Member | Operator | Administrator;
    /// Change the workspace's settings.
    WriteWorkspace = "workspace.write", Administrator;
    /// Invite, change and remove people.
    ManageMembers = "members.manage", Administrator;
    /// Make and withdraw one's own API keys.
    ManageApiKeys = "api_keys.manage", Member | Operator | Administrator;
    /// See what was spent, one's own for members, the workspace's for others.
    ReadUsage = "usage.read", Member | Operator | Administrator;
    /// See what was spent by everybody in the workspace.
    ReadAllUsage = "usage.read_all", Operator | Administrator;
    /// Read, write and clear cache entries.
    ManageCache = "cache.manage", Operator | Administrator;
    /// See policies and decisions.
    ReadGovernance = "governance.read", Operator | Administrator;
    /// Change policies and budgets.
    WriteGovernance = "governance.write", Administrator;
    /// Read the audit log.
    ReadAudit = "audit.read", Administrator;
    /// Receive live events.
    Listen = "realtime.listen", Service | Member | Operator | Administrator;
    /// See the deployment's build, limits and component states.
    ReadSystem = "system.read", Operator | Administrator;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn people_gain_permissions_with_their_role_and_never_lose_any() {
        for &permission in Permission::ALL {
            let name = permission.as_str();
            assert!(permits(Role::Administrator, permission), "{name}");
            if permits(Role::Member, permission) {
                assert!(permits(Role::Operator, permission), "{name}");
            }
        }
    }

    #[test]
    fn running_the_workspace_is_not_for_members_or_programs() {
        for permission in [
            Permission::ManageCache,
            Permission::ManageMembers,
            Permission::WriteWorkspace,
            Permission::WriteGovernance,
            Permission::ReadAudit,
            Permission::WritePersonas,
            Permission::ReadAllUsage,
        ] {
            assert!(!permits(Role::Member, permission), "{permission:?}");
            assert!(!permits(Role::Service, permission), "{permission:?}");
        }
        assert!(!permits(Role::Operator, Permission::ManageMembers));
        assert!(!permits(Role::Operator, Permission::WriteGovernance));
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = Permission::ALL.iter().map(|p| p.as_str()).collect();
        assert_eq!(names.len(), Permission::ALL.len());
    }
}
