from controller.command import main

raise SystemExit(main())
