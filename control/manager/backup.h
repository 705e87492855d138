/* `manager backup FILE`. */
#ifndef CONTROL_MANAGER_BACKUP_H
#define CONTROL_MANAGER_BACKUP_H

/* main() of the subcommand; argv[0] is "backup". */
int backup_main(int argc, char **argv);

#endif
